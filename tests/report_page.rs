//! The page of the report in a real browser: that it needs nothing but itself, can be read by everybody, and fits a phone.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

mod night;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use night::{Place, run, succeed};
use serde_json::{Value, json};
use test_support::{Influxd, TempDir, temp_dir};
use thirtyfour::common::command::{Command as Order, ExtensionCommand};
use thirtyfour::prelude::*;

/// A `chromedriver` on a port that it chose, with all browsers that it starts.
struct Driver {
    process: Child,
    _profile: TempDir,
    browser: WebDriver,
}

impl Driver {
    async fn start() -> Driver {
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
        let mut process = command.spawn().expect("chromedriver; scripts/services install browser");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = lines.by_ref().find_map(|line| {
            let line = line.unwrap();
            line.split_once("successfully on port ")?.1.trim_end_matches('.').parse::<u16>().ok()
        });
        // Whatever else it says is read, so that it never waits for a reader.
        std::thread::spawn(move || lines.count());
        let url = format!("http://127.0.0.1:{}", port.expect("the port that chromedriver prints"));
        let profile = temp_dir();
        let mut wanted = DesiredCapabilities::chrome();
        for flag in [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ] {
            wanted.add_arg(flag).unwrap();
        }
        wanted.add_arg(&format!("--user-data-dir={}", profile.path().display())).unwrap();
        wanted.set("goog:loggingPrefs", json!({"browser": "ALL", "performance": "ALL"})).unwrap();
        let browser = WebDriver::new(url.as_str(), wanted).await.expect("a session with chromium");
        Driver { process, _profile: profile, browser }
    }

    /// Tells the browser something that WebDriver has no word for.
    async fn tell(&self, command: &str, parameters: Value) {
        self.order("/goog/cdp/execute", json!({"cmd": command, "params": parameters})).await;
    }

    /// A log of the browser, as far as it was not read before.
    async fn log(&self, kind: &str) -> Vec<Value> {
        self.order("/se/log", json!({"type": kind})).await.as_array().expect("entries").clone()
    }

    async fn order(&self, endpoint: &'static str, parameters: Value) -> Value {
        let order = Order::ExtensionCommand(Box::new(Extension { endpoint, parameters }));
        self.browser.handle().cmd(order).await.unwrap().value_json().unwrap()
    }

    async fn script(&self, text: &str) -> Value {
        self.browser.execute(text, Vec::new()).await.unwrap().json().clone()
    }

    async fn key(&self, key: &str, code: u32) {
        for kind in ["keyDown", "keyUp"] {
            let parameters = json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code});
            self.tell("Input.dispatchKeyEvent", parameters).await;
        }
    }
}

/// What Chromium's driver understands beyond WebDriver.
#[derive(Debug)]
struct Extension {
    endpoint: &'static str,
    parameters: Value,
}

impl ExtensionCommand for Extension {
    fn parameters_json(&self) -> Option<Value> {
        Some(self.parameters.clone())
    }

    fn method(&self) -> reqwest::Method {
        reqwest::Method::POST
    }

    fn endpoint(&self) -> Arc<str> {
        self.endpoint.into()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // The group is its own, so that no browser is left behind.
        let group = format!("-{}", self.process.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.process.wait();
    }
}

/// A night that is ready, and one in each other state; names and messages as long as they come.
async fn archive() -> Place {
    let (place, source) = (Place::folder(), Influxd::start().await);
    source.statement("CREATE DATABASE sensu_db").await;
    let long = "measurement_with_a_name_that_goes_on_".repeat(4);
    source.write("sensu_db", &format!("{long},host=a load=1 1465646400000000000")).await;
    for day in ["2016-06-10", "2016-06-11"] {
        let mut backup = place.backup(&source);
        backup.args(["--date", day]);
        succeed(backup).await;
    }
    let mut dump = place.command(env!("CARGO_BIN_EXE_nightshard-dump"));
    dump.args(["--all", "--json", "--from", "backup", "--date", "2016-06-11"]);
    succeed(dump).await;
    let archive = place.path("archive");
    let object = |day: &str, name: &str, content: String| {
        let path = archive.join(day).join(day).join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    let marker = |state: Value| {
        let mut marker = json!({
            "format": "nightshard-running/1", "id": "aa", "writer": {"program": "nightshard-backup", "version": "0.1.0"},
            "host": "db1", "process": 42, "cluster_id": "7", "databases": ["sensu_db"], "started": "2016-06-12T21:55:00Z",
        });
        marker.as_object_mut().unwrap().extend(state.as_object().unwrap().clone());
        marker.to_string()
    };
    let error = format!("<img src=x onerror=alert(1)> {}", "no_end".repeat(80));
    object("2016-06-12", "running/aa.json", marker(json!({"state": "failed", "error": error})));
    object("2016-06-14", "shards/sensu_db.default.00001.00", "a shard".to_owned());
    object("2016-06-15", "manifests/dump.cpu_2016-06-15.json.json", "{}".to_owned());
    object("2016-06-16", "running/aa.json", marker(json!({"state": "running"})));
    place
}

/// The least contrast of any text with what is behind it, and which text that is.
const CONTRAST: &str = r#"
    const channels = color => {
        const [r, g, b, a = 1] = color.match(/[\d.]+/g).map(Number);
        return [r, g, b, a];
    };
    const luminance = ([r, g, b]) => {
        const linear = [r, g, b].map(c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
    };
    const behind = element => {
        for (let at = element; at; at = at.parentElement) {
            const color = channels(getComputedStyle(at).backgroundColor);
            if (color[3] > 0.99) return color;
        }
        return [255, 255, 255, 1];
    };
    document.querySelectorAll('details').forEach(details => details.open = true);
    let least = [99, ''], texts = 0;
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement;
        if (!walker.currentNode.data.trim() || element.closest('svg') || !element.getClientRects().length) continue;
        texts += 1;
        const [one, other] = [luminance(channels(getComputedStyle(element).color)), luminance(behind(element))];
        const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
        if (contrast < least[0]) least = [contrast, walker.currentNode.data];
    }
    return [least[0], least[1], texts];
"#;

/// The cells of the calendar: date, state, and what can be seen and what is read out.
const CELLS: &str = r#"
    return [...document.querySelectorAll('td[data-date]')].map(cell => [
        cell.dataset.date, cell.dataset.state, cell.querySelector('i').textContent, cell.querySelector('.hidden').textContent,
        cell.title,
    ]);
"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_page_works_for_everybody_everywhere_and_asks_for_nothing() {
    let place = archive().await;
    let page = place.path("report.html");
    let mut report = place.command(env!("CARGO_BIN_EXE_nightshard-report"));
    report.args(["--date", "2016-06-10..2016-06-17", "--html", page.to_str().unwrap()]);
    // The seal of a dump that nobody can read is named.
    assert_eq!(run(report).await.status.code(), Some(3));
    let driver = Driver::start().await;
    driver.browser.goto(format!("file://{}", page.display())).await.unwrap();

    let title = driver.browser.title().await.unwrap();
    assert!(title.starts_with("Nightshard: The night of 17 June 2016 is missing"), "{title}");
    let cells = driver.script(CELLS).await;
    let shown: Vec<(&str, &str, &str)> = cells
        .as_array()
        .unwrap()
        .iter()
        .map(|cell| (cell[0].as_str().unwrap(), cell[1].as_str().unwrap(), cell[2].as_str().unwrap()))
        .collect();
    assert_eq!(
        shown,
        [
            ("2016-06-10", "STATUS_READY", "✓"),
            ("2016-06-11", "STATUS_READY", "✓"),
            ("2016-06-12", "STATUS_ERROR", "✗"),
            ("2016-06-13", "STATUS_MISSING", "–"),
            ("2016-06-14", "STATUS_UNSEALED", "?"),
            ("2016-06-15", "STATUS_DUMPS_ONLY", "D"),
            ("2016-06-16", "STATUS_BACKING_UP", "…"),
            ("2016-06-17", "STATUS_MISSING", "–"),
        ]
    );
    for cell in cells.as_array().unwrap() {
        assert!(cell[3].as_str().unwrap().contains(" June 2016: "), "{cell}");
        assert_eq!(cell[3], cell[4], "what is read out is what the mouse is told");
    }
    // What a failed backup said is text and nothing else.
    let message = driver.script("return document.querySelector('#trouble-2016-06-12 .message').textContent").await;
    assert!(message.as_str().unwrap().starts_with("<img src=x onerror=alert(1)> no_endno_end"), "{message}");
    let structure = driver
        .script(
            "return [document.images.length, document.scripts.length, \
             document.querySelectorAll('table.month caption').length, \
             document.querySelectorAll('table.month thead th[scope=col]').length, \
             document.querySelectorAll('table.month tbody th[scope=row]').length, \
             document.querySelectorAll('svg[role=img] > title + desc').length, \
             document.querySelectorAll('.numbers tbody tr').length, document.documentElement.lang]",
        )
        .await;
    // June's days lie in the weeks 23 and 24; charts show sizes, growth, what was sent and added, and how long backups and dumps
    // took.
    assert_eq!(structure, json!([0, 0, 1, 8, 2, 6, 2, "en"]));

    // By keyboard: first past the head of the page, then to each day with trouble, and from it to what is said of it.
    let mut reached = Vec::new();
    for _ in 0..40 {
        driver.key("Tab", 9).await;
        let at = driver
            .script(
                "const at = document.activeElement; const style = getComputedStyle(at); \
                 return [at.tagName, at.getAttribute('href') || at.getAttribute('aria-label') || at.textContent.trim(), \
                 style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0]",
            )
            .await;
        if at[0] == "BODY" {
            break;
        }
        assert_eq!(at[2], true, "focus is not seen at {at}");
        reached.push(at[1].as_str().unwrap().to_owned());
    }
    let expected = [
        "#troubles",
        "#nights",
        "#charts",
        "#troubles",
        "#dumps",
        "#trouble-2016-06-12",
        "#trouble-2016-06-13",
        "#trouble-2016-06-14",
        "#trouble-2016-06-15",
        "#trouble-2016-06-17",
        "The same in numbers",
        "Dumps by measurement",
        "Databases of the last sealed night",
    ];
    assert_eq!(reached, expected);
    let dangling = driver
        .script(
            "return [...document.querySelectorAll('a[href^=\"#\"]')].map(a => a.hash.slice(1)) \
             .filter(id => !document.getElementById(id))",
        )
        .await;
    assert_eq!(dangling, json!([]));

    // In the light and in the dark, and both differ.
    let mut grounds = Vec::new();
    for scheme in ["light", "dark"] {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        driver.tell("Emulation.setEmulatedMedia", features).await;
        let contrast = driver.script(CONTRAST).await;
        assert!(contrast[0].as_f64().unwrap() >= 4.5, "{scheme}: {contrast}");
        assert!(contrast[2].as_u64().unwrap() > 100, "{contrast}");
        grounds.push(driver.script("return getComputedStyle(document.body).backgroundColor").await);
    }
    assert_ne!(grounds[0], grounds[1]);

    // On a phone the page has no scroll bar of its own, and what is wider has one.
    for width in [360, 320] {
        let metrics = json!({"width": width, "height": 740, "deviceScaleFactor": 2, "mobile": true});
        driver.tell("Emulation.setDeviceMetricsOverride", metrics).await;
        let widths = driver
            .script(
                "return [document.documentElement.scrollWidth, innerWidth, \
                 [...document.querySelectorAll('.scroll')].some(it => it.scrollWidth > it.clientWidth)]",
            )
            .await;
        assert_eq!(widths, json!([width, width, true]));
    }

    // On paper everything is there, on white.
    driver.tell("Emulation.clearDeviceMetricsOverride", json!({})).await;
    driver.tell("Emulation.setEmulatedMedia", json!({"media": "print"})).await;
    assert_eq!(driver.script("return getComputedStyle(document.body).backgroundColor").await, "rgb(255, 255, 255)");

    let said = driver.log("browser").await;
    assert!(said.is_empty(), "the console is not empty: {said:?}");
    let events: Vec<Value> = driver
        .log("performance")
        .await
        .iter()
        .map(|entry| serde_json::from_str::<Value>(entry["message"].as_str().unwrap()).unwrap()["message"].take())
        .collect();
    let own = format!("file://{}", page.display());
    // The browser's own first page has asked for things, too.
    let requests: Vec<&str> = events
        .iter()
        .filter(|event| {
            event["method"] == "Network.requestWillBeSent" && event["params"]["documentURL"] == own.as_str()
        })
        .map(|event| event["params"]["request"]["url"].as_str().unwrap())
        .collect();
    assert!(requests.contains(&own.as_str()), "{requests:?}");
    let foreign: Vec<&&str> = requests.iter().filter(|url| **url != own && !url.starts_with("data:")).collect();
    assert!(foreign.is_empty(), "the page asked for {foreign:?}");
}
