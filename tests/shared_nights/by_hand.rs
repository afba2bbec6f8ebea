//! What people delete by hand, and with what: a night that goes takes nothing of the others with it.

use std::collections::BTreeMap;

use bytes::Bytes;
use reqwest::Method;
use serde_json::Value;
use test_support::{Influxd, temp_dir};

use crate::account::{Account, swift};
use crate::looks::{assert_as_sealed, composed, downloaded, production};
use crate::night::{Place, run, succeed};

const NIGHTS: [&str; 4] = ["2016-06-11", "2016-06-12", "2016-06-13", "2016-06-14"];

/// Nights of one source, each of them in many shards, of which one is large enough to be composed.
struct Nights {
    place: Place,
    account: Account,
    source: Influxd,
    seals: BTreeMap<String, Value>,
}

impl Nights {
    async fn take() -> Nights {
        let (place, account, source) = (Place::swift_version1(), Account::of_tempauth().await, production().await);
        let mut nights = Nights { place, account, source, seals: BTreeMap::new() };
        for day in NIGHTS {
            nights.back_up(day).await;
        }
        nights
    }

    async fn back_up(&mut self, day: &str) {
        let mut backup = self.place.backup(&self.source);
        backup.args(["--database", "sensu_db", "--date", day]);
        succeed(backup).await;
        let night = self.place.container(day);
        let seal = self.account.seal(&night).await;
        self.seals.insert(night, seal);
    }

    /// All that is left is as it was sealed, byte for byte, for us and for `swift`.
    async fn assert_whole(&self, days: &[&str]) {
        for day in days {
            assert_eq!(self.verify(day).await, 0, "{day}");
            let (folder, night) = (temp_dir(), self.place.container(day));
            assert_as_sealed(&downloaded(&self.place, &night, folder.path()).await, &self.seals[&night]);
        }
    }

    /// How a verification of every byte ends.
    async fn verify(&self, day: &str) -> i32 {
        let mut verify = self.place.verify();
        verify.args(["--deep", "--date", day]);
        run(verify).await.status.code().unwrap()
    }

    async fn status(&self, container: &str, name: &str) -> u16 {
        self.account.status(Method::HEAD, &format!("{container}/{name}")).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_night_that_swift_deletes_takes_nothing_of_the_others_with_it() {
    let nights = Nights::take().await;
    let (first, second) = (nights.place.container(NIGHTS[0]), nights.place.container(NIGHTS[1]));
    // So many objects at once are deleted in another way than few or single ones.
    swift(&nights.place, &["delete", &first]).await;
    assert_eq!(nights.account.status(Method::HEAD, &first).await, 404);
    nights.assert_whole(&NIGHTS[1..]).await;

    let (link, shard, piece) = composed(&nights.seals[&nights.place.container(NIGHTS[1])]);
    swift(&nights.place, &["delete", &second, &link]).await;
    assert_eq!(nights.status(&second, &link).await, 404);
    assert_eq!(nights.verify(NIGHTS[1]).await, 5, "a shard is missing there");
    for name in [shard, piece] {
        assert_eq!(nights.status(&nights.place.pool(), &name).await, 200, "{name}");
    }
    swift(&nights.place, &["delete", &second]).await;
    nights.assert_whole(&NIGHTS[2..]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_deletes_large_objects_with_their_parts_damages_other_nights_and_the_pool_gives_them_back() {
    let mut nights = Nights::take().await;
    let (pool, night) = (nights.place.pool(), nights.place.container(NIGHTS[1]));
    let (link, shard, piece) = composed(&nights.seals[&nights.place.container(NIGHTS[1])]);
    // Whoever asks for this without having looked whether it is a link.
    nights.account.call(Method::DELETE, &format!("{night}/{link}?multipart-manifest=delete"), &[], Bytes::new()).await;
    assert_eq!([nights.status(&night, &link).await, nights.status(&pool, &piece).await], [404, 404]);
    assert_eq!(nights.status(&pool, &shard).await, 200, "what consisted of it is still there");
    assert_eq!(nights.verify(NIGHTS[2]).await, 5, "another night is damaged");

    // The next backup stores anew what it needs.
    nights.source.write("sensu_db", "cpu,host=b load=1 1464739200000000000").await;
    nights.back_up("2016-06-15").await;
    nights.assert_whole(&["2016-06-15"]).await;

    // And the pool has kept the part: what the operator's page says brings it back for all others.
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operator.md")).unwrap();
    let script = page.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    assert!(script.contains("version-id"), "{script}");
    let mut shell = nights.place.command("bash");
    shell.args(["-euo", "pipefail", "-c", &script.replace("nightshard-pool", &pool)]);
    let output = run(shell).await;
    assert!(output.status.success(), "{output:?}");
    nights.assert_whole(&[NIGHTS[0], NIGHTS[2], NIGHTS[3], "2016-06-15"]).await;
}
