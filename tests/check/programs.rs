//! What the programs of the night make of their configuration.

use std::fs;

use crate::checked::{backed_up, check, checked, production, script};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_the_configuration_of_any_program_is_told() {
    let source = production().await;
    let place = backed_up(&source).await;
    let file = place.path("nightshard.toml");
    let table = [
        (
            "[restore]\nwiat = \"6h\"",
            &["configuration.restore"][..],
            "unknown key wiat in [restore]",
            "did you mean wait?",
        ),
        ("[dump]\npage_size = 0", &["configuration.dump"], "cannot use \"0\" as page_size", "nightshard-dump --help"),
        (
            "[verify]\narchive = \"file:///elsewhere\"",
            &["configuration.agreement"],
            "and file:///elsewhere for nightshard-verify",
            "set archive once, at the top",
        ),
    ];
    for (text, wrong, message, hint) in table {
        let archive = format!("archive = \"file://{}\"\n", place.path("archive").display());
        fs::write(&file, format!("{archive}{text}\n")).unwrap();
        let mut command = check(&place, &source, &["--config", file.to_str().unwrap()]);
        // What stands in the environment would beat the file.
        command.env_remove("NIGHTSHARD_ARCHIVE");
        checked(command).await.assert_wrong(wrong, message, hint);
    }

    // Programs of another version, or none, beside the one that asks.
    let alone = place.path("bin/nightshard-check");
    fs::copy(env!("CARGO_BIN_EXE_nightshard-check"), &alone).unwrap();
    script(&place.path("bin/nightshard-list"), "echo nightshard-list 0.0.1");
    let like = check(&place, &source, &[]);
    let mut command = place.command(&alone);
    command.args(like.get_args()).envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let found = checked(command).await;
    assert!(found.get("configuration.backup").message.contains("does not exist"), "{:#?}", found.checks);
    assert!(found.get("configuration.list").message.contains("is \"nightshard-list 0.0.1\" instead of"));
    assert_eq!(found.get("source.http").status, "ok", "all else is looked at");

    let mut command = check(&place, &source, &[]);
    command.env("TZ", "America/New_York");
    let found = checked(command).await;
    assert_eq!(
        (found.with("warning").contains(&"machine.time_zone"), found.code),
        (true, Some(0)),
        "{:#?}",
        found.checks
    );
}
