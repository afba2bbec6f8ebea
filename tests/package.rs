//! The Debian package, built and installed in a root of its own that is thrown away: what is in it works, an upgrade keeps
//! what was set, a removal the configuration, and a purge leaves nothing but backups.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use test_support::{Influxd, TempDir, temp_dir};

/// The machine as it is, read-only, under a layer in memory that takes everything that is changed. The mounts go with the
/// process that keeps them, which ends when its standard input does, so also when the test is killed.
const MACHINE: &str = r#"
mount -t tmpfs tmpfs "$1"
cd "$1"
mkdir changes work root without
# What an installation on the machine itself has made is not seen.
for path in etc/nightshard var/backups/influxdb var/cache/nightshard var/lib/nightshard; do
  [ ! -e "/$path" ] || { mkdir -p "without/${path%/*}" && mknod "without/$path" c 0 0; }
done
mount -t overlay overlay -o lowerdir=without:/,upperdir=changes,workdir=work root
mount -t proc proc root/proc
mount --rbind /dev root/dev
mount -t tmpfs tmpfs root/run
mount -t tmpfs tmpfs root/tmp
mkdir -m 1777 root/run/lock
# The index of all manual pages is not made anew for each installation.
rm -f root/var/lib/man-db/auto-update
cp "$2" root/tmp/nightshard.deb
echo ready
exec cat
"#;

/// Images of Debian for containers leave out what is only to be read.
const INSTALL: &str = "dpkg --path-include='/usr/share/*' --install /tmp/nightshard.deb";

/// What dpkg, its triggers, and the tools for users write for any package.
const OF_ANY_PACKAGE: [&str; 9] = [
    "/var/lib/dpkg/",
    "/var/lib/man-db/",
    "/var/log/",
    "/var/cache/man/",
    "/etc/passwd-",
    "/etc/group-",
    "/etc/shadow-",
    "/etc/gshadow-",
    "/etc/.pwd.lock",
];

struct Machine {
    folder: TempDir,
    keeper: Child,
}

impl Machine {
    fn start() -> Machine {
        let folder = temp_dir();
        let mut keeper = Command::new("unshare")
            .args(["--mount", "sh", "-euc", MACHINE, "sh"])
            .args([folder.path(), package()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare, of util-linux");
        let mut line = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "no root could be made to throw away: it takes the user root, and overlayfs");
        Machine { folder, keeper }
    }

    /// One that has the package.
    fn installed() -> Machine {
        let machine = Machine::start();
        machine.run(INSTALL);
        machine
    }

    /// What a script prints there, on stdout and stderr.
    fn run(&self, script: &str) -> String {
        let mut command = Command::new("nsenter");
        command.arg(format!("--target={}", self.keeper.id())).args(["--mount", "chroot"]);
        command.arg(self.folder.path().join("root"));
        command.args(["bash", "-euo", "pipefail", "-c", &format!("exec 2>&1 </dev/null; cd /; {script}")]);
        command.env_clear().envs([
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            ("HOME", "/root"),
            ("LC_ALL", "C.UTF-8"),
            ("DEBIAN_FRONTEND", "noninteractive"),
            ("TZ", "UTC"),
        ]);
        let output = command.output().expect("nsenter, of util-linux");
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{script}\n{text}");
        text
    }

    /// What is other there than on the machine itself, but for what any package changes.
    fn changes(&self) -> Vec<String> {
        let inside = PathBuf::from(format!("/proc/{}/root", self.keeper.id()));
        let changes = inside.join(self.folder.path().strip_prefix("/").unwrap()).join("changes");
        let mut different = Vec::new();
        let mut folders = vec![changes.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                let path = format!("/{}", entry.path().strip_prefix(&changes).unwrap().display());
                let kind = entry.file_type().unwrap();
                let same = match kind.is_dir() {
                    true => Path::new(&path).is_dir(),
                    // What was removed is a device here.
                    false => kind.is_file() && fs::read(entry.path()).ok() == fs::read(&path).ok(),
                };
                if !same && !OF_ANY_PACKAGE.iter().any(|known| path.starts_with(known)) {
                    different.push(path);
                }
                if kind.is_dir() {
                    folders.push(entry.path());
                }
            }
        }
        different
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

fn house() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder with the programs that Cargo built for this test.
fn programs() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_nightshard-backup")).parent().unwrap()
}

/// The package of these programs, built once.
fn package() -> &'static Path {
    static PACKAGE: OnceLock<PathBuf> = OnceLock::new();
    PACKAGE.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("package");
        let _ = fs::remove_dir_all(&folder);
        let mut command = Command::new(house().join("scripts/package"));
        command.arg("--programs").arg(programs()).arg("--fast").arg("--output").arg(&folder);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut packages = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let path = packages.next().expect("a package");
        assert_eq!(packages.next(), None);
        path
    })
}

/// The names of the programs, as Cargo.toml has them.
fn names() -> Vec<String> {
    let cargo: toml::Table = include_str!("../Cargo.toml").parse().unwrap();
    let bins = cargo["bin"].as_array().unwrap();
    bins.iter().map(|bin| bin["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_program_comes_with_its_manual_and_completions_and_every_unit_is_understood() {
    let machine = Machine::installed();
    machine.run(&format!("cat >/tmp/complete.bash <<'END'{BASH}END\ncat >/tmp/complete.zsh <<'END'{ZSH}END"));
    for name in names() {
        let version = machine.run(&format!("{name} --version"));
        assert_eq!(version, format!("{name} {}\n", env!("CARGO_PKG_VERSION")));

        let page = machine.run(&format!("MANWIDTH=100 man --warnings {name} | col -bx"));
        for section in ["NAME", "SYNOPSIS", "OPTIONS", "EXIT STATUS", "EXAMPLES", "FILES", "ENVIRONMENT", "SEE ALSO"] {
            assert!(page.contains(&format!("\n{section}\n")), "{name} has no section {section}:\n{page}");
        }
        assert!(!page.contains("warning:"), "{page}");
        assert!(page.contains("/etc/nightshard/nightshard.toml"), "{page}");
        let lint = machine.run(&format!("mandoc -T lint -W warning /usr/share/man/man1/{name}.1.gz"));
        assert_eq!(lint, "", "{name}");
        let entry = machine.run(&format!("lexgrog /usr/share/man/man1/{name}.1.gz"));
        assert!(entry.contains(&format!(": \"{name} - ")), "{entry}");

        // Each shell finds the file by itself, at the place where Debian's packages put it.
        let bash = machine.run(&format!("bash /tmp/complete.bash {name}"));
        assert_eq!(bash, "--archive\n", "{name}");
        let fish = machine.run(&format!("fish --command 'complete --do-complete \"{name} --arch\"'"));
        assert!(fish.starts_with("--archive\t"), "{name}: {fish}");
        let zsh = machine.run(&format!("timeout 60 zsh -f /tmp/complete.zsh {name}"));
        assert!(zsh.contains(&format!("{name} --archive")), "{name}: {zsh}");
    }
    let units = machine.run("systemd-analyze verify /usr/lib/systemd/system/nightshard-*");
    assert_eq!(units, "");
}

/// What bash does when the key for completions is pressed.
const BASH: &str = r#"
source "/usr/share/bash-completion/completions/$1"
function=$(complete -p "$1" | grep -o '_nightshard[^ ]*')
COMP_WORDS=("$1" --arch) COMP_CWORD=1
"$function" "$1" --arch "$1"
echo "${COMPREPLY[@]}"
"#;

/// A zsh in a terminal of its own, where the key is pressed.
const ZSH: &str = r#"
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'PS1=; unsetopt zle_bracketed_paste; autoload -U compinit; compinit -u -D; print is now rea""dy'
zpty -r shell seen '*is now ready*'
zpty -w -n shell "$1 --arch"$'\t'
zpty -r shell seen '*--archive*'
print -r -- $seen
"#;

#[test]
fn nothing_is_started_and_everything_belongs_to_whom_it_should() {
    let machine = Machine::installed();
    let owners = "stat -c '%U:%G %a %n' /etc/nightshard /etc/nightshard/* /var/lib/nightshard /var/backups/influxdb /var/cache/nightshard";
    let expected = "root:root 755 /etc/nightshard\n\
                    root:root 600 /etc/nightshard/nightshard.env\n\
                    root:nightshard 640 /etc/nightshard/nightshard.toml\n\
                    nightshard:nightshard 750 /var/lib/nightshard\n\
                    nightshard:nightshard 750 /var/backups/influxdb\n\
                    nightshard:nightshard 700 /var/cache/nightshard\n";
    assert_eq!(machine.run(owners), expected);
    let passwd = machine.run("getent passwd nightshard");
    assert!(passwd.ends_with(":/var/lib/nightshard:/usr/sbin/nologin\n"), "{passwd}");
    let states = machine.run("systemctl list-unit-files --root=/ --no-legend 'nightshard-*.timer'");
    assert!(states.lines().count() >= 4, "{states}");
    assert!(states.lines().all(|line| line.contains(" disabled ")), "{states}");
    for file in [
        "README.Debian",
        "README.md",
        "changelog.gz",
        "copyright",
        "docs/backup.md",
        "examples/cron/nightshard.crontab",
    ] {
        machine.run(&format!("test -s /usr/share/doc/nightshard/{file}"));
    }
    for folder in ["cron", "kubernetes", "scripts/monitoring"].map(|folder| house().join(folder)) {
        for entry in fs::read_dir(&folder).into_iter().flatten().map(Result::unwrap) {
            let example = folder.file_name().unwrap().to_str().unwrap();
            let file = entry.file_name().into_string().unwrap();
            machine.run(&format!("test -s /usr/share/doc/nightshard/examples/{example}/{file}"));
        }
    }
}

#[test]
fn a_purge_leaves_nothing_and_a_removal_the_configuration() {
    let machine = Machine::start();
    machine.run("mkdir -p /var/lib/systemd/timers");
    let before = machine.changes();
    machine.run(INSTALL);
    let installed = machine.changes();
    for path in ["/usr/bin/nightshard-backup", "/etc/passwd", "/etc/nightshard", "/var/backups/influxdb"] {
        assert!(installed.iter().any(|other| other == path), "{path} would not be found if it was left: {installed:?}");
    }
    // What an administrator and a night leave behind.
    machine.run(
        "systemctl enable nightshard-backup.timer nightshard-verify.timer
         mkdir /etc/systemd/system/nightshard-backup.service.d
         printf '[Service]\nReadWritePaths=/srv\n' >/etc/systemd/system/nightshard-backup.service.d/override.conf
         echo 'jobs = 2' >>/etc/nightshard/nightshard.toml
         echo secret >/etc/nightshard/source-password
         mkdir -p /var/cache/nightshard-restore
         touch /var/cache/nightshard/spooled /var/cache/nightshard-restore/spooled
         touch /var/lib/systemd/timers/stamp-nightshard-backup.timer
         runuser -u nightshard -- mkdir -p /var/lib/nightshard/.cache/nightshard/documents
         runuser -u nightshard -- touch /run/lock/nightshard-backup-x.lock",
    );
    machine.run("dpkg --remove nightshard");
    let left = machine.run("tail -n 1 /etc/nightshard/nightshard.toml; cat /etc/nightshard/source-password; ls /usr/bin/nightshard* || true");
    assert!(left.starts_with("jobs = 2\nsecret\nls: cannot access"), "{left}");
    let said = machine.run("dpkg --purge nightshard");
    assert!(!said.contains("warning"), "{said}");
    assert_eq!(machine.changes(), before, "{said}");
    assert_eq!(machine.run("ls /run/lock; getent passwd nightshard || getent group nightshard || true"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn its_user_takes_a_night_which_stays_when_everything_else_is_purged() {
    let source = Influxd::start().await;
    source.statement("CREATE DATABASE sensu_db").await;
    source.write("sensu_db", "cpu,host=a load=1 1465646400000000000").await;
    // Backups in the folder of the package, and in one that the configuration names.
    for folder in ["/var/backups/influxdb", "/srv/nights"] {
        let machine = Machine::installed();
        machine.run(&format!(
            "install -d -o nightshard -g nightshard {folder}
             sed -i 's|^archive = .*|archive = \"file://{folder}\"|' /etc/nightshard/nightshard.toml"
        ));
        let by_user = "runuser -u nightshard -- ";
        let (url, snapshots) = (source.url(), source.snapshot_address());
        machine
            .run(&format!("{by_user}nightshard-backup --date 2016-06-11 --source {url} --snapshot-addr {snapshots}"));
        machine.run(&format!("{by_user}nightshard-verify --date 2016-06-11 --deep"));
        let list = machine.run(&format!("{by_user}nightshard-list"));
        assert!(list.lines().any(|line| line.starts_with("2016-06-11  ready  sensu_db ")), "{list}");

        let said = machine.run("dpkg --purge nightshard");
        assert!(said.contains(&format!("nightshard: what lies in {folder} stays there\n")), "{said}");
        let seal = machine.run(&format!("stat -c %U {folder}/2016-06-11/2016-06-11/manifests/backup.json"));
        assert_eq!(seal, "nightshard\n", "a user made later would own the backups: {said}");
        let known =
            [folder.to_owned(), "/etc/passwd".into(), "/etc/shadow".into(), "/etc/group".into(), "/etc/gshadow".into()];
        let others: Vec<String> =
            machine.changes().into_iter().filter(|path| !known.iter().any(|known| path.starts_with(known))).collect();
        assert_eq!(others, Vec::<String>::new(), "{said}");
        // Installed again, it is as before.
        machine.run(INSTALL);
        machine.run(&format!("{by_user}nightshard-verify --date 2016-06-11 --archive file://{folder}"));
    }
}

#[test]
fn an_upgrade_keeps_what_was_set_and_takes_up_only_timers_that_run() {
    let machine = Machine::installed();
    // A systemd that only writes down what it is asked for.
    machine.run(
        "mkdir -p /run/systemd/system
         printf '#!/bin/sh\necho \"$*\" >>/tmp/asked\n' >/usr/local/bin/systemctl
         chmod 755 /usr/local/bin/systemctl
         echo 'tries = 3' >/etc/nightshard/nightshard.toml
         chmod 600 /etc/nightshard/nightshard.toml; chown nightshard /etc/nightshard/nightshard.toml
         chmod 770 /var/backups/influxdb",
    );
    machine.run(
        "dpkg-deb --raw-extract /tmp/nightshard.deb /tmp/next
         rm /tmp/next/usr/bin/*
         sed -i 's/^Version: .*/Version: 99.0.0-1/' /tmp/next/DEBIAN/control
         echo '# something new' >>/tmp/next/etc/nightshard/nightshard.toml
         dpkg-deb --root-owner-group -Znone --build /tmp/next /tmp/next.deb",
    );
    let said = machine.run("dpkg --force-confold --install /tmp/next.deb");
    assert!(!said.contains("what comes next"), "{said}");
    let kept = machine.run(
        "cat /etc/nightshard/nightshard.toml; stat -c '%U %a' /etc/nightshard/nightshard.toml /var/backups/influxdb",
    );
    assert_eq!(kept, "tries = 3\nnightshard 600\nnightshard 770\n");
    assert_eq!(machine.run("cat /tmp/asked"), "daemon-reload\ntry-restart nightshard-*.timer\n");
    machine.run("rm /tmp/asked; dpkg --remove nightshard");
    assert_eq!(machine.run("cat /tmp/asked"), "stop nightshard-*.timer nightshard-*.service\ndaemon-reload\n");
}
