import { expect, test } from "vitest";
import type { DriverName } from "../src/sandbox/driver.ts";
import { Drivers } from "../src/sandbox/drivers.ts";

/** Drivers of which those named work, and the probes that were made. */
function driversOf({ working, configured }: { working: DriverName[]; configured?: DriverName }) {
  const probed: DriverName[] = [];
  const drivers = new Drivers((driver) => {
    probed.push(driver);
    const detail = `${driver} was tried`;
    return Promise.resolve(working.includes(driver) ? { ok: true, detail } : { ok: false, detail, fix: "Mend it." });
  }, configured);
  return { drivers, probed, working };
}

test("the best driver that works is taken, and never the one that isolates nothing", async () => {
  const { drivers, working } = driversOf({ working: ["process", "unshare"] });
  expect(await drivers.firstOf()).toBe("unshare");
  working.push("bubblewrap");
  expect(await drivers.firstOf()).toBe("bubblewrap");
});

test("where none works, each probe and its fix are named", async () => {
  const { drivers } = driversOf({ working: ["process"] });
  await expect(drivers.firstOf()).rejects.toMatchObject({
    code: "sandbox.unavailable",
    detail:
      "Probe bubblewrap failed: bubblewrap was tried. Fix: Mend it. Probe unshare failed: unshare was tried. Fix: Mend it.",
  });
});

test("the configured driver, or the one that is asked for, gets no other in its place", async () => {
  const { drivers } = driversOf({ working: ["unshare"], configured: "bubblewrap" });
  await expect(drivers.firstOf()).rejects.toMatchObject({ code: "sandbox.unavailable" });
  expect(await drivers.firstOf(["unshare"])).toBe("unshare");
});

test("a driver is proven once, and anew when it is distrusted", async () => {
  const { drivers, probed, working } = driversOf({ working: ["bubblewrap"] });
  await drivers.firstOf();
  await drivers.firstOf();
  expect(probed).toEqual(["bubblewrap"]);
  drivers.distrust("bubblewrap");
  working.pop();
  await expect(drivers.firstOf(["bubblewrap"])).rejects.toMatchObject({ code: "sandbox.unavailable" });
  expect(probed).toEqual(["bubblewrap", "bubblewrap"]);
});
