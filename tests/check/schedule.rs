//! Who starts the programs, and when next.

use std::fs;

use crate::checked::{backed_up, check, checked, production, script};

#[tokio::test(flavor = "multi_thread")]
async fn timers_and_crontabs_are_found_or_missed() {
    let source = production().await;
    let place = backed_up(&source).await;
    let cron = place.path("cron.d/nightshard");
    fs::rename(&cron, place.path("cron.d/nightshard.crontab")).unwrap();
    let found = checked(check(&place, &source, &[])).await;
    found.assert_wrong(&["schedule.backup"], "is ignored by cron for its name", "systemctl enable --now");
    fs::remove_file(place.path("cron.d/nightshard.crontab")).unwrap();
    let found = checked(check(&place, &source, &[])).await;
    found.assert_wrong(
        &["schedule.backup"],
        "no timer and no crontab starts nightshard-backup",
        "/etc/cron.d/nightshard",
    );
    assert_eq!(found.get("schedule.verify").status, "skipped");
    assert_eq!(checked(check(&place, &source, &["--no-schedule"])).await.code, Some(0));

    script(&place.path("bin/crontab"), "test \"$1\" = -l && echo '55 23 * * * nightshard-backup --quiet'");
    let found = checked(check(&place, &source, &[])).await;
    assert_eq!(found.code, Some(0), "{:#?}", found.checks);
    let backup = found.get("schedule.backup");
    assert!(
        backup.message.contains(" 23:55 CE") && backup.message.ends_with("by the crontab of this user"),
        "{backup:?}"
    );

    // A stand-in for systemd's command, which gets the zone in which it is to write.
    let show = |state: &str, next: &str| {
        let unit = format!("Id=nightshard-backup.timer\\nLoadState=loaded\\nActiveState={state}\\nSubState=waiting");
        script(
            &place.path("bin/systemctl"),
            &format!(
                "test \"$1 $TZ\" = 'show UTC' || exit 1\nprintf '{unit}\\nNextElapseUSecRealtime={next}\\n\\n'\n\
                 printf 'Id=nightshard-restore.timer\\nLoadState=not-found\\nActiveState=inactive\\nSubState=dead\\n'"
            ),
        );
    };
    script(&place.path("bin/crontab"), "exit 1");
    show("active", "Sun 2090-06-11 21:55:00 UTC");
    let found = checked(check(&place, &source, &[])).await;
    let backup = found.get("schedule.backup");
    assert!(backup.message.starts_with("next at 2090-06-11 23:55 CEST"), "{backup:?}");
    assert!(backup.message.ends_with("by nightshard-backup.timer"), "{backup:?}");
    assert_eq!(found.get("schedule.restore").status, "skipped");
    show("inactive", "");
    let found = checked(check(&place, &source, &[])).await;
    found.assert_wrong(&["schedule.backup"], "nightshard-backup.timer is installed, and not started", "enable --now");
}
