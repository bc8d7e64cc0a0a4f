import java.io.IOException;
import java.io.InputStream;
import java.math.BigInteger;
import java.net.Authenticator;
import java.net.HttpURLConnection;
import java.net.PasswordAuthentication;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;

/** Asks an API by both clients of the standard library and sends it 2.7 MB. */
class JavaClient {
  public static void main(String[] arguments) throws Exception {
    URI origin = URI.create(arguments[0]);
    Authenticator.setDefault(new ProxyToken());
    askByHttpClient(origin);
    askByUrlConnection(origin);
    System.out.println("searchable");
    System.in.transferTo(java.io.OutputStream.nullOutputStream());
  }

  static void askByHttpClient(URI origin) throws Exception {
    HttpClient client = HttpClient.newBuilder().authenticator(Authenticator.getDefault()).build();
    HttpRequest.Builder get = HttpRequest.newBuilder(origin.resolve("/me"));
    check(client.send(get.build(), BodyHandlers.ofString()).statusCode());

    StringBuilder lines = new StringBuilder();
    for (int n = 1; n <= 400_000; n++) lines.append(n).append('\n');
    byte[] sum = MessageDigest.getInstance("SHA-256").digest(lines.toString().getBytes(StandardCharsets.UTF_8));
    HttpRequest.Builder post = HttpRequest.newBuilder(origin.resolve("/upload"));
    var answer = client.send(post.POST(BodyPublishers.ofString(lines.toString())).build(), BodyHandlers.ofString());
    check(answer.statusCode());
    if (!answer.body().contains(String.format("%064x", new BigInteger(1, sum)))) {
      throw new IOException("the upload arrived changed");
    }
  }

  static void askByUrlConnection(URI origin) throws IOException {
    var connection = (HttpURLConnection) origin.resolve("/me").toURL().openConnection();
    check(connection.getResponseCode());
    try (InputStream body = connection.getInputStream()) {
      body.readAllBytes();
    }
  }

  static void check(int status) throws IOException {
    if (status != 200) throw new IOException("status " + status);
  }

  /** The run's token, of HTTPS_PROXY, for the gate alone. */
  static class ProxyToken extends Authenticator {
    @Override
    protected PasswordAuthentication getPasswordAuthentication() {
      if (getRequestorType() != RequestorType.PROXY) return null;
      String[] user = URI.create(System.getenv("HTTPS_PROXY")).getUserInfo().split(":", 2);
      return new PasswordAuthentication(user[0], user[1].toCharArray());
    }
  }
}
