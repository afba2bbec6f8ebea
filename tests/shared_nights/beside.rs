//! Nights with bytes of their own, where the archive cannot share or where nobody wants it to; and both kinds side by side.

use serde_json::{Value, json};
use test_support::{Influxd, temp_dir, tempauth};

use crate::account::Account;
use crate::interceptor::{Action, Interceptor, path};
use crate::looks::{assert_as_sealed, downloaded, production};
use crate::night::{Place, run, succeed};

/// A Swift that has all that sharing needs says so; each of these lacks one thing.
const LACKING: [&str; 3] = [
    r#"{"swift": {}, "slo": {"max_manifest_segments": 1000}, "object_versioning": {}}"#,
    r#"{"swift": {}, "slo": {"max_manifest_segments": 1000}, "symlink": {"symloop_max": 2}, "object_versioning": {}}"#,
    r#"{"swift": {}, "symlink": {"symloop_max": 2, "static_links": true}, "object_versioning": {}}"#,
];

/// Backs up a day; the outcome, and what was said.
async fn back_up(place: &Place, source: &Influxd, day: &str, arguments: &[&str], auth: &str) -> (Value, String) {
    let mut backup = place.backup(source);
    backup.args(["--database", "sensu_db", "--date", day]).args(arguments).env("ST_AUTH", auth);
    let output = run(backup).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    (serde_json::from_slice(&output.stdout).unwrap(), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn nights_with_bytes_of_their_own_stand_beside_shared_ones() {
    let (place, account, source) = (Place::swift_version1(), Account::of_tempauth().await, production().await);
    let (auth, interceptor) = (tempauth().url, Interceptor::before(&tempauth().proxy));
    let mut days = vec!["2016-06-11".to_owned()];
    let (shared, said) = back_up(&place, &source, &days[0], &[], &auth).await;
    assert_eq!(shared["pool"], json!(place.pool()), "{said}");

    for (number, info) in LACKING.into_iter().enumerate() {
        let answer = Action::Answer { status: "200 OK", headers: Vec::new(), body: info.to_owned(), read: true };
        interceptor.always(|head| path(head) == "/info", answer);
        days.push(format!("2016-06-{}", 12 + number));
        let through = format!("{}/auth/v1.0", interceptor.url());
        let (plain, said) = back_up(&place, &source, days.last().unwrap(), &[], &through).await;
        assert_eq!((&plain["pool"], &plain["sent_bytes"]), (&Value::Null, &plain["bytes"]), "{info}");
        assert!(said.contains("each night is stored with bytes of its own"), "{said}");
    }
    days.push("2016-06-15".to_owned());
    let (plain, said) = back_up(&place, &source, "2016-06-15", &["--dedup", "off"], &auth).await;
    assert_eq!((&plain["pool"], &plain["sent_bytes"]), (&Value::Null, &plain["bytes"]));
    assert!(!said.contains("bytes of its own"), "what was asked for is no warning: {said}");
    // The next shared night goes on from the last shared one.
    days.push("2016-06-16".to_owned());
    let (shared, _) = back_up(&place, &source, "2016-06-16", &[], &auth).await;
    assert_eq!((&shared["pool"], &shared["unread_shards"]), (&json!(place.pool()), &json!(24)));

    let mut verify = place.verify();
    verify.args(["--all", "--deep"]);
    assert_eq!(succeed(verify).await["nights"].as_array().unwrap().len(), days.len());
    for day in &days {
        let (night, folder) = (place.container(day), temp_dir());
        assert_as_sealed(&downloaded(&place, &night, folder.path()).await, &account.seal(&night).await);
        let mut dump = place.command(env!("CARGO_BIN_EXE_nightshard-dump"));
        dump.args(["cpu", "--json", "--from", "backup", "--no-upload", "--output", "dumps", "--date", day]);
        assert_eq!(succeed(dump).await["dumps"][0]["records"], 1, "{day}");
    }
    let target = Influxd::start().await;
    for day in [&days[1], &days[5]] {
        let mut restore = place.restore(&target);
        restore.args(["--date", day]);
        succeed(restore).await;
        assert_eq!(target.count("sensu_db", "log", "text").await, 400);
    }
}
