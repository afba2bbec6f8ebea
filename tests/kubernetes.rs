//! The manifests for Kubernetes open the doors of the night as well: Kubernetes' own types know every field, the programs
//! understand the configuration and the commands, and what must fit together does.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

mod night;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::{ConfigMap, Container, PodSpec, Secret};
use night::{Place, succeed};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use test_support::{Influxd, temp_dir};

const DOORS: [(&str, &str); 5] = [
    ("backup", env!("CARGO_BIN_EXE_nightshard-backup")),
    ("restore", env!("CARGO_BIN_EXE_nightshard-restore")),
    ("dump", env!("CARGO_BIN_EXE_nightshard-dump")),
    ("verify", env!("CARGO_BIN_EXE_nightshard-verify")),
    ("prune", env!("CARGO_BIN_EXE_nightshard-prune")),
];

fn house() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(name: &str) -> String {
    fs::read_to_string(house().join("kubernetes").join(name)).unwrap()
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

/// The names of what a document says that its type does not know: those are lost, and Kubernetes would refuse or ignore them.
fn lost(said: &Value, known: &Value, path: &str, names: &mut Vec<String>) {
    match (said, known) {
        (Value::Object(said), Value::Object(known)) => {
            for (name, value) in said {
                match known.get(name) {
                    Some(other) => lost(value, other, &format!("{path}.{name}"), names),
                    None => names.push(format!("{path}.{name}")),
                }
            }
        }
        (Value::Array(said), Value::Array(known)) if said.len() == known.len() => {
            for (number, (one, other)) in said.iter().zip(known).enumerate() {
                lost(one, other, &format!("{path}[{number}]"), names);
            }
        }
        (said, known) if said == known => {}
        _ => names.push(path.to_owned()),
    }
}

/// A document as Kubernetes' own type has it.
fn typed<T: DeserializeOwned + Serialize>(text: &str) -> Result<T, String> {
    let said = yaml(text);
    let known: T = serde_json::from_value(said.clone()).map_err(|error| error.to_string())?;
    let mut names = Vec::new();
    lost(&said, &serde_json::to_value(&known).unwrap(), "", &mut names);
    if names.is_empty() { Ok(known) } else { Err(format!("unknown: {}", names.join(", "))) }
}

fn cron_job(name: &str) -> CronJob {
    typed(&text(&format!("{name}.yaml"))).unwrap_or_else(|error| panic!("{name}.yaml: {error}"))
}

fn pod(job: &CronJob) -> PodSpec {
    job.spec.clone().unwrap().job_template.spec.unwrap().template.spec.unwrap()
}

fn container(job: &CronJob) -> Container {
    let [container] = <[Container; 1]>::try_from(pod(job).containers).expect("one container");
    container
}

/// The configuration of the `ConfigMap`, and the account of the `Secret`.
fn configuration() -> (String, BTreeMap<String, String>) {
    let configuration: ConfigMap = typed(&text("configuration.yaml")).unwrap();
    let secret: Secret = typed(&text("secret.example.yaml")).unwrap();
    (configuration.data.unwrap()["nightshard.toml"].clone(), secret.string_data.unwrap())
}

/// What a program makes of the configuration, the account, and its arguments: each setting's value and where it came from.
fn settings(door: &str, arguments: &[String]) -> BTreeMap<String, (Value, String)> {
    let (_, program) = DOORS.iter().find(|(name, _)| *name == door).unwrap();
    let (toml, account) = configuration();
    let folder = temp_dir();
    let path = folder.path().join("nightshard.toml");
    fs::write(&path, toml).unwrap();
    let mut command = Command::new(program);
    command.args(arguments).args(["--print-config", "--json", "--config"]).arg(&path);
    let output = command.env_clear().envs(account).output().unwrap();
    assert!(output.status.success(), "{door} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    let settings = shown["settings"].as_object().unwrap().iter();
    settings
        .map(|(key, setting)| {
            let from = setting["from"].as_str().unwrap();
            let from = if path == Path::new(from) { "file" } else { from };
            (key.clone(), (setting["value"].clone(), from.to_owned()))
        })
        .collect()
}

#[test]
fn kubernetes_knows_every_field() {
    let mut files: BTreeSet<String> = fs::read_dir(house().join("kubernetes"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    for (name, _) in DOORS {
        let job = cron_job(name);
        assert_eq!(job.metadata.name, Some(format!("nightshard-{name}")));
        assert!(files.remove(&format!("{name}.yaml")));
    }
    configuration();
    let apart = ["configuration.yaml", "kustomization.yaml", "secret.example.yaml"];
    assert_eq!(files, apart.map(str::to_owned).into(), "a file that nothing has looked into");
}

#[test]
fn a_wrong_field_would_be_noticed() {
    let right = text("backup.yaml");
    for (from, to, found) in [
        ("startingDeadlineSeconds:", "startingDeadlineSecond:", ".spec.startingDeadlineSecond"),
        ("runAsNonRoot:", "runAsNoRoot:", ".spec.jobTemplate.spec.template.spec.securityContext.runAsNoRoot"),
        ("- name: spool\n              emptyDir", "- name: spool\n              emptydir", ".emptydir"),
        ("backoffLimit: 10", "backoffLimit: ten", "ten"),
        ("kind: CronJob", "kind: Cronjob", "Cronjob"),
    ] {
        let wrong = right.replace(from, to);
        assert_ne!(wrong, right, "{from}");
        let error = typed::<CronJob>(&wrong).unwrap_err();
        assert!(error.contains(found), "{to}: {error}");
    }
}

#[test]
fn the_programs_understand_their_configuration_and_their_commands() {
    let (toml, account) = configuration();
    let tables: toml::Table = toml.parse().unwrap();
    for (name, _) in DOORS {
        let container = container(&cron_job(name));
        assert_eq!(container.command, Some(vec![format!("nightshard-{name}")]));
        let shown = settings(name, &container.args.unwrap());
        // Nothing in the file is for nobody, and nothing of it is overridden.
        for (key, value) in tables.get(name).and_then(toml::Value::as_table).into_iter().flatten() {
            assert_eq!(shown[key].1, "file", "{name}: {key} = {value}");
        }
        for key in ["archive", "timezone", "spool", "spool_size", "locks", "log_format"] {
            assert_eq!(shown[key].1, "file", "{name}: {key}");
        }
    }
    let (backup, restore) = (settings("backup", &[]), settings("restore", &[]));
    for key in ["source", "snapshot_addr"] {
        assert_eq!(backup[key].1, "file", "{key}");
    }
    for key in ["target", "target_snapshot_addr"] {
        assert_eq!(restore[key].1, "file", "{key}");
    }
    assert_eq!(restore["mode"].0, "online");
    assert_eq!(settings("dump", &[])["from"].0, "backup");
    // Options in the Secret are such that a program knows.
    for variable in account.keys().filter(|name| name.starts_with("NIGHTSHARD_")) {
        let known = [&backup, &restore].iter().any(|shown| shown.values().any(|(_, from)| from == variable));
        assert!(known, "{variable} is read by nobody");
    }
}

#[test]
fn a_failure_is_tried_again_when_its_exit_code_says_so() {
    for (name, _) in DOORS {
        let spec = cron_job(name).spec.unwrap();
        assert_eq!(spec.concurrency_policy.as_deref(), Some("Forbid"), "{name}");
        let job = spec.job_template.spec.unwrap();
        assert!(job.backoff_limit > Some(0), "{name}");
        let pod = job.template.spec.unwrap();
        // Kubernetes accepts a podFailurePolicy with no other.
        assert_eq!(pod.restart_policy.as_deref(), Some("Never"), "{name}");
        let rules = job.pod_failure_policy.unwrap().rules;
        let failing: Vec<_> = rules.into_iter().filter(|rule| rule.action == "FailJob").collect();
        let [rule] = &failing[..] else { panic!("{name}: {failing:?}") };
        let codes = rule.on_exit_codes.clone().unwrap();
        assert_eq!((codes.operator.as_str(), codes.container_name.as_deref()), ("In", Some(name)));
        // As the services of systemd have it; 75 is not among them.
        let unit = fs::read_to_string(house().join(format!("systemd/nightshard-{name}.service"))).unwrap();
        let line = unit.lines().find_map(|line| line.strip_prefix("RestartPreventExitStatus=")).unwrap();
        let of_unit: Vec<i32> = line.split(' ').map(|code| code.parse().unwrap()).collect();
        assert_eq!(codes.values, of_unit, "{name}");
    }
}

#[test]
fn times_and_zones_are_those_of_the_timers_and_of_the_configuration() {
    for (name, _) in DOORS {
        let spec = cron_job(name).spec.unwrap();
        let timer = fs::read_to_string(house().join(format!("systemd/nightshard-{name}.timer"))).unwrap();
        let time = timer.lines().find_map(|line| line.strip_prefix("OnCalendar=*-*-* ")).unwrap();
        let [minute, hour, "*", "*", "*"] = spec.schedule.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{} is not every night", spec.schedule)
        };
        assert_eq!(format!("{hour:0>2}:{minute:0>2}:00"), time, "{name}");
        let shown = settings(name, &[]);
        assert_eq!(shown["timezone"].0, spec.time_zone.unwrap(), "{name}");
        // 23:55 and so long after it is noon, until when a start belongs to the day before.
        assert_eq!((spec.starting_deadline_seconds, shown["night_ends"].0.as_str()), (Some(43_200), Some("12:00")));
        assert!(spec.job_template.spec.unwrap().active_deadline_seconds < Some(86_400), "{name}");
    }
}

/// A quantity such as 20Gi.
fn bytes(quantity: &str) -> u64 {
    let (number, unit) = quantity.split_at(quantity.find(|c: char| !c.is_ascii_digit()).unwrap());
    let factor = ["Ki", "Mi", "Gi"].iter().position(|known| *known == unit).unwrap();
    number.parse::<u64>().unwrap() << (10 * (factor + 1))
}

#[test]
fn a_pod_is_confined_and_can_write_where_its_program_does() {
    for (name, _) in DOORS {
        let job = cron_job(name);
        let (pod, container, shown) = (pod(&job), container(&job), settings(name, &[]));
        assert_eq!(container.name, name);
        assert_eq!(
            (pod.automount_service_account_token, pod.enable_service_links),
            (Some(false), Some(false)),
            "{name}"
        );
        assert_eq!(pod.security_context.unwrap().run_as_non_root, Some(true), "{name}");
        let security = container.security_context.unwrap();
        assert_eq!(security.read_only_root_filesystem, Some(true), "{name}");
        assert_eq!(security.allow_privilege_escalation, Some(false), "{name}");
        assert_eq!(security.capabilities.unwrap().drop, Some(vec!["ALL".to_owned()]), "{name}");

        let volumes: BTreeMap<String, _> = pod.volumes.unwrap().into_iter().map(|v| (v.name.clone(), v)).collect();
        let mounts = container.volume_mounts.unwrap();
        let at = |path: &str| {
            let mount =
                mounts.iter().find(|mount| mount.mount_path == path).unwrap_or_else(|| panic!("{name}: {path}"));
            volumes[&mount.name].clone()
        };
        let room = |folder: &str| bytes(&at(folder).empty_dir.unwrap().size_limit.unwrap().0);
        let setting = |key: &str| shown[key].0.as_str().unwrap().to_owned();
        assert!(room(&setting("locks")) > 0);
        let spool = room(&setting("spool"));
        assert!(bytes(setting("spool_size").trim_end_matches('B')) < spool, "{name}: the pod would be evicted");
        let limits = container.resources.unwrap().limits.unwrap();
        assert!(bytes(&limits["ephemeral-storage"].0) > spool, "{name}: the pod would be evicted");
        let configuration: ConfigMap = typed(&text("configuration.yaml")).unwrap();
        assert_eq!(at("/etc/nightshard").config_map.unwrap().name, configuration.metadata.name.unwrap());
        let secret: Secret = typed(&text("secret.example.yaml")).unwrap();
        let sources = container.env_from.unwrap();
        assert_eq!(sources[0].secret_ref.as_ref().unwrap().name, secret.metadata.name.unwrap());
    }
}

#[test]
fn kustomize_finds_every_file_and_the_image_of_this_version() {
    let kustomization = yaml(&text("kustomization.yaml"));
    let resources: BTreeSet<&str> =
        kustomization["resources"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let expected = ["configuration.yaml", "backup.yaml", "restore.yaml", "dump.yaml", "verify.yaml", "prune.yaml"];
    // No placeholder may take the place of credentials.
    assert_eq!(resources, expected.into());
    let image = &kustomization["images"][0];
    assert_eq!(image["newTag"], env!("CARGO_PKG_VERSION"));
    for (name, _) in DOORS {
        assert_eq!(container(&cron_job(name)).image.as_deref(), image["name"].as_str());
    }
}

#[test]
fn the_image_is_built_of_all_that_cargo_needs() {
    let recipe = text("Containerfile");
    let folder = temp_dir();
    let copied =
        recipe.lines().filter_map(|line| line.strip_prefix("COPY ")).filter(|line| !line.starts_with("--from"));
    for line in copied {
        let mut sources: Vec<&str> = line.split(' ').collect();
        let place = folder.path().join(sources.pop().unwrap());
        for source in sources {
            let to: PathBuf = if house().join(source).is_dir() { place.clone() } else { place.join(source) };
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            let copy = Command::new("cp").arg("--recursive").arg(house().join(source)).arg(&to).status().unwrap();
            assert!(copy.success(), "{line}");
        }
    }
    // Every member of the workspace and every program is there, and the lock file fits; else Cargo says what is missing.
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["tree", "--locked", "--offline", "--package", "nightshard", "--edges", "normal,build", "--depth", "1"]);
    let output = cargo.current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // The user that the pods check for is the image's own.
    let user = recipe.lines().find_map(|line| line.strip_prefix("USER ")).unwrap();
    for (name, _) in DOORS {
        let security = pod(&cron_job(name)).security_context.unwrap();
        assert_eq!(user, format!("{}:{}", security.run_as_user.unwrap(), security.run_as_group.unwrap()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_night_goes_through_all_jobs_in_turn() {
    let (source, target, place) = (Influxd::start().await, Influxd::start().await, Place::folder());
    source.statement("CREATE DATABASE sensu_db").await;
    source.write("sensu_db", "cpu,host=a load=1 1465646400000000000\nmem,host=a free=2 1465646400000000000").await;
    fs::write(place.path("nightshard.toml"), configuration().0).unwrap();
    let mut printed = BTreeMap::new();
    for (name, program) in DOORS {
        let mut command = place.command(program);
        // As the job has them, but on the day of the points.
        let arguments = container(&cron_job(name)).args.unwrap().into_iter();
        command.args(arguments.map(|word| match word.as_str() {
            "night" | "yesterday" => "2016-06-11".to_owned(),
            _ => word,
        }));
        command.arg("--json").env("NIGHTSHARD_CONFIG", place.path("nightshard.toml"));
        command.env("NIGHTSHARD_SOURCE", source.url()).env("NIGHTSHARD_SNAPSHOT_ADDR", source.snapshot_address());
        command
            .env("NIGHTSHARD_TARGET", target.url())
            .env("NIGHTSHARD_TARGET_SNAPSHOT_ADDR", target.snapshot_address());
        printed.insert(name, succeed(command).await);
    }
    assert_eq!(printed["dump"]["dumps"].as_array().unwrap().len(), 2, "{}", printed["dump"]);
    let found = target.query("sensu_db", "SELECT load FROM cpu").await;
    assert_eq!(found["results"][0]["series"][0]["values"].to_string(), "[[1465646400000000000,1]]", "{found}");
    let night = place.contents("2016-06-11");
    assert!(night.keys().any(|name| name.contains("/influxdb/cpu_2016-06-11-00:00:00_")), "{:?}", night.keys());
}
