// Asks an API twice by one client and sends it 2.7 MB as a stream.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
)

func main() {
	origin := os.Args[1]
	var lines bytes.Buffer
	for n := 1; n <= 400000; n++ {
		fmt.Fprintf(&lines, "%d\n", n)
	}
	sum := sha256.Sum256(lines.Bytes())
	read(http.Get(origin + "/me"))
	// A reader of unknown length goes out in chunks.
	body := read(http.Post(origin+"/upload", "text/plain", io.MultiReader(&lines)))
	var said struct{ Sha256 string }
	if err := json.Unmarshal(body, &said); err != nil || said.Sha256 != hex.EncodeToString(sum[:]) {
		fail("the upload arrived changed")
	}
	fmt.Println("searchable")
	io.Copy(io.Discard, os.Stdin)
}

func read(answer *http.Response, err error) []byte {
	if err != nil {
		fail(err.Error())
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != 200 {
		fail(answer.Status)
	}
	return body
}

func fail(why string) {
	fmt.Fprintln(os.Stderr, why)
	os.Exit(1)
}
