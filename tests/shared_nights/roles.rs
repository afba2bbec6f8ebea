//! Who may do what, as a Swift with Keystone holds it. What the README says of roles is what this shows.

use bytes::Bytes;
use reqwest::Method;
use serde_json::{Value, json};
use test_support::{Keystone, keystone};

use crate::account::{Account, Guest, swift};
use crate::looks::{assert_as_sealed, composed, production, sha256};
use crate::night::{Place, read_all, run, succeed};

const NIGHT: &str = "2016-06-11";

/// The owner's view of a night with shared shards and one dump.
async fn a_night() -> (Place, Account, Value) {
    let (place, source) = (Place::swift_keystone(), production().await);
    let mut backup = place.backup(&source);
    backup.args(["--database", "sensu_db", "--date", NIGHT]);
    succeed(backup).await;
    let mut dump = place.command(env!("CARGO_BIN_EXE_nightshard-dump"));
    dump.args(["cpu", "--json", "--from", "backup", "--date", NIGHT]);
    succeed(dump).await;
    let Keystone { user, password, .. } = keystone();
    let owner = Account::of_keystone(&user, &password).await;
    let seal = owner.seal(&place.container(NIGHT)).await;
    (place, owner, seal)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_analyst_reads_nights_and_pool_by_their_access_lists_and_changes_nothing() {
    let (place, _, seal) = a_night().await;
    let (night, pool, guest) = (place.container(NIGHT), place.pool(), Guest::invite("analyst").await);
    let analyst = guest.account().await;
    let (link, shard, piece) = composed(&seal);
    let dump = format!("{night}/{night}/influxdb/cpu_2016-06-11-00:00:00_2016-06-12-00:00:00.json");
    let shard_in_night = format!("{night}/{link}");
    assert_eq!(analyst.status(Method::GET, &dump).await, 403);

    // Dumps and seals lie in the night itself, shards behind links: who reads them is asked in the pool once more.
    swift(&place, &["post", &night, "--read-acl", &guest.listed()]).await;
    let read = async |what: &str| analyst.status(Method::GET, what).await;
    assert_eq!([read(&dump).await, read(&night).await, read(&shard_in_night).await], [200, 200, 403]);
    let fetch = async |arguments: &[&str]| {
        let mut fetch = place.command(env!("CARGO_BIN_EXE_nightshard-fetch"));
        fetch.args(["--json", "--date", NIGHT]).args(arguments).envs(guest.environment());
        run(fetch).await
    };
    let output = fetch(&["--dumps", "--output", "dumps"]).await;
    assert!(output.status.success(), "{output:?}");
    let output = fetch(&["--shards", "--output", "no-shards"]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("403"), "{said}");

    swift(&place, &["post", &pool, "--read-acl", &guest.listed()]).await;
    assert_eq!(read(&shard_in_night).await, 200);
    let mut download = place.command("swift");
    download.args(["download", &night, "-p", &format!("{night}/shards/"), "-D", "plain"]).envs(guest.environment());
    let output = run(download).await;
    assert!(output.status.success(), "{output:?}");
    let mut contents = Default::default();
    read_all(&place.path("plain"), &place.path("plain"), &mut contents);
    assert_as_sealed(&contents, &seal);
    let output = fetch(&["--shards", "--output", "shards"]).await;
    assert!(output.status.success(), "{output:?}");
    let mut verify = place.verify();
    verify.args(["--date", NIGHT, "--deep"]).envs(guest.environment());
    assert_eq!(succeed(verify).await["nights"][0]["damages"], json!([]));

    let pooled = [format!("{pool}/{shard}"), format!("{pool}/{piece}")];
    for object in [&dump, &shard_in_night].into_iter().chain(&pooled) {
        for method in [Method::PUT, Method::POST, Method::DELETE] {
            assert_eq!(analyst.status(method.clone(), object).await, 403, "{method} {object}");
        }
    }
    for container in [&night, &pool, &format!("{night}-new")] {
        assert_eq!(analyst.status(Method::PUT, container).await, 403, "{container}");
    }
    // Which containers there are is told to the account's own alone, so days have to be named.
    assert_eq!(read("").await, 403);
    let mut list = place.command(env!("CARGO_BIN_EXE_nightshard-list"));
    list.envs(guest.environment());
    let output = run(list).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("cannot list the containers of"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_write_may_delete_and_destroy_too() {
    let (place, owner, seal) = a_night().await;
    let (night, pool, guest) = (place.container(NIGHT), place.pool(), Guest::invite("writer").await);
    let other = format!("{night}-other");
    let put = async |account: &Account, path: &str, bytes: &'static str| {
        account.call(Method::PUT, path, &[], Bytes::from(bytes)).await.status.as_u16()
    };
    assert_eq!([put(&owner, &other, "").await, put(&owner, &format!("{other}/a"), "a").await], [201, 201]);
    for container in [&night, &pool] {
        swift(&place, &["post", container, "--write-acl", &guest.listed(), "--read-acl", &guest.listed()]).await;
    }
    let writer = guest.account().await;

    // By an access list: objects in just these containers, and no containers.
    let object = format!("{pool}/tsm/object");
    assert_eq!([put(&writer, &object, "one").await, put(&writer, &object, "two").await], [201, 201]);
    assert_eq!(put(&writer, &format!("{other}/b"), "b").await, 403);
    assert_eq!(writer.status(Method::DELETE, &format!("{other}/a")).await, 403);
    for container in [&format!("{night}-new"), &pool, &night] {
        assert_eq!(put(&writer, container, "").await, 403);
    }
    let keeps_no_more = [("X-Versions-Enabled", "false")];
    assert_eq!(writer.call(Method::POST, &pool, &keeps_no_more, Bytes::new()).await.status, 403);
    // A backup makes a container each night, so this is not enough for one.
    let source = production().await;
    let mut backup = place.backup(&source);
    backup.args(["--date", "2016-06-12"]).envs(guest.environment());
    let output = run(backup).await;
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("403"), "{output:?}");

    // What stands may be destroyed by whoever may overwrite it. What the pool keeps of earlier contents and of plain deletions may
    // not: that is left to the account's own.
    let versions = async || {
        let path = format!("{pool}?versions&format=json&prefix=tsm/object");
        let listed = owner.call(Method::GET, &path, &[], Bytes::new()).await;
        let versions: Vec<Value> = serde_json::from_slice(&listed.body).unwrap();
        versions.iter().map(|version| version["version_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let [stands, earlier] = versions().await.try_into().unwrap();
    let destroy = async |account: &Account, version: &str| {
        account.status(Method::DELETE, &format!("{object}?version-id={version}")).await
    };
    assert_eq!([destroy(&writer, &earlier).await, destroy(&writer, &stands).await], [403, 204]);
    assert_eq!(versions().await, [earlier]);
    assert_eq!([put(&writer, &object, "three").await, writer.status(Method::DELETE, &object).await], [201, 204]);
    for version in versions().await {
        assert_eq!([destroy(&writer, &version).await, destroy(&owner, &version).await], [403, 204]);
    }
    assert!(versions().await.is_empty());

    // What a night needs can be brought back after a plain deletion, by whoever may write.
    let (link, _, piece) = composed(&seal);
    let whole = async || {
        let answer = owner.call(Method::GET, &format!("{night}/{link}"), &[], Bytes::new()).await;
        (answer.status == 200).then(|| sha256(&answer.body))
    };
    let before = whole().await;
    let version = owner.call(Method::HEAD, &format!("{pool}/{piece}"), &[], Bytes::new()).await;
    let version = version.headers["X-Object-Version-Id"].to_str().unwrap().to_owned();
    assert_eq!(writer.status(Method::DELETE, &format!("{pool}/{piece}")).await, 204);
    assert_eq!(writer.status(Method::PUT, &format!("{pool}/{piece}?version-id={version}")).await, 201);
    assert!(before.is_some() && whole().await == before);

    // The role that a backup needs, because it makes containers, may do all of this everywhere in the account.
    assert_eq!(owner.status(Method::DELETE, &format!("{pool}/{piece}?version-id={version}")).await, 204);
    assert_eq!(whole().await, None);
    swift(&place, &["delete", &other]).await;
}
