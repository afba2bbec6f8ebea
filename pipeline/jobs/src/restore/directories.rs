//! Where the target keeps its files: from flags, from its configuration, or from its own mouth.

use std::io;
use std::path::{Path, PathBuf};

use influx::Diagnostics;
use serde::Deserialize;

use crate::{Error, Kind};

/// What is known of the target's directories beforehand. A directory beats the configuration file, and what neither
/// tells is asked of the server; where that does not answer, its configuration may lie where it usually does.
#[derive(Debug, Clone, Default)]
pub struct Directories {
    /// The target's `influxdb.conf`.
    pub influx_config: Option<PathBuf>,
    /// Its `[meta] dir`.
    pub meta: Option<PathBuf>,
    /// Its `[data] dir`.
    pub data: Option<PathBuf>,
    /// Its `[data] wal-dir`.
    pub wal: Option<PathBuf>,
    /// Where its `influxdb.conf` usually lies; of no account if there is none.
    pub default_influx_config: Option<PathBuf>,
}

/// The target's directories, which exist, without links and relative parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Paths {
    pub(super) meta: PathBuf,
    pub(super) data: PathBuf,
    pub(super) wal: PathBuf,
}

/// What the server says of itself, as far as it answers.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The port at which it was asked; the configuration at the usual place must be that of this server.
    pub(super) port: Option<u16>,
    pub(super) meta: Option<PathBuf>,
    pub(super) data: Option<PathBuf>,
    pub(super) wal: Option<PathBuf>,
}

impl From<&Diagnostics> for Told {
    fn from(diagnostics: &Diagnostics) -> Told {
        // A relative path means something only where the server was started.
        let path = |text: &Option<String>| text.as_deref().map(PathBuf::from).filter(|path| path.is_absolute());
        let (meta, data, wal) = (&diagnostics.meta_dir, &diagnostics.data_dir, &diagnostics.wal_dir);
        Told { port: None, meta: path(meta), data: path(data), wal: path(wal) }
    }
}

/// The part of `influxdb.conf` that matters here.
#[derive(Debug, Default, Deserialize)]
struct InfluxConfig {
    #[serde(default)]
    meta: MetaSection,
    #[serde(default)]
    data: DataSection,
    #[serde(default)]
    http: HttpSection,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct HttpSection {
    bind_address: Option<String>,
}

impl InfluxConfig {
    /// Whether a server with this configuration listens at the port; `:8086` is what it does unless told otherwise.
    fn listens_at(&self, port: u16) -> bool {
        let address = self.http.bind_address.as_deref().unwrap_or(":8086");
        address.rsplit(':').next().and_then(|text| text.parse().ok()) == Some(port)
    }
}

#[derive(Debug, Default, Deserialize)]
struct MetaSection {
    dir: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct DataSection {
    dir: Option<PathBuf>,
    wal_dir: Option<PathBuf>,
}

impl Directories {
    /// The three directories.
    ///
    /// # Errors
    ///
    /// [`Kind::Usage`] when one is not known, does not exist here, or is not what the server itself says.
    pub(super) fn resolve(&self, told: Told) -> Result<Paths, Error> {
        let config = self.influx_config.as_deref().map(read).transpose()?.unwrap_or_default();
        let told = self.told_or_usual(told, &config)?;
        Ok(Paths {
            meta: one("meta", "--meta-dir", self.meta.clone().or(config.meta.dir), told.meta, false)?,
            data: one("data", "--data-dir", self.data.clone().or(config.data.dir), told.data, false)?,
            wal: {
                let configured = self.wal.is_none() && config.data.wal_dir.is_some();
                one("WAL", "--wal-dir", self.wal.clone().or(config.data.wal_dir), told.wal, configured)?
            },
        })
    }

    /// The flags that a run needs, if any, which finds these directories while the server is down.
    pub(super) fn flags_while_down(&self, paths: &Paths, port: Option<u16>) -> Option<String> {
        let found = self.resolve(Told { port, ..Told::default() });
        let Paths { meta, data, wal } = paths;
        let flags = || {
            let (meta, data, wal) = (meta.display(), data.display(), wal.display());
            format!("--meta-dir {meta} --data-dir {data} --wal-dir {wal}")
        };
        (found.ok().as_ref() != Some(paths)).then(flags)
    }

    /// What the server tells, and where nobody else tells either, the configuration at the usual place.
    fn told_or_usual(&self, told: Told, config: &InfluxConfig) -> Result<Told, Error> {
        let unknown = |given: &Option<PathBuf>, configured: &Option<PathBuf>, told: &Option<PathBuf>| {
            given.is_none() && configured.is_none() && told.is_none()
        };
        let meta = unknown(&self.meta, &config.meta.dir, &told.meta);
        let data = unknown(&self.data, &config.data.dir, &told.data);
        let wal = unknown(&self.wal, &config.data.wal_dir, &told.wal);
        let usual = self.default_influx_config.as_deref().filter(|file| (meta || data || wal) && file.exists());
        let Some(usual) = usual.map(read).transpose()? else { return Ok(told) };
        if told.port.is_some_and(|port| !usual.listens_at(port)) {
            return Ok(told);
        }
        Ok(Told {
            port: told.port,
            meta: if meta { usual.meta.dir } else { told.meta },
            data: if data { usual.data.dir } else { told.data },
            wal: if wal { usual.data.wal_dir } else { told.wal },
        })
    }
}

fn read(file: &Path) -> Result<InfluxConfig, Error> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Error::io(format!("read {}", file.display()), &error).hint("see --influx-config"))?;
    toml::from_str(&text).map_err(|error| {
        let reason = error.message();
        Error::new(Kind::Usage, format!("{} is no configuration of InfluxDB: {reason}", file.display())).hint(
            "give the file with which influxd is started, or its directories with --meta-dir, --data-dir, --wal-dir",
        )
    })
}

/// One directory: the given one, else the one that was told of; `young` if the given one need not exist yet.
fn one(what: &str, flag: &str, given: Option<PathBuf>, told: Option<PathBuf>, young: bool) -> Result<PathBuf, Error> {
    let usage = |message: String, hint: String| Error::new(Kind::Usage, message).hint(hint);
    let path = given.clone().or_else(|| told.clone()).ok_or_else(|| {
        usage(
            format!("the target does not tell its {what} directory, and it was not given"),
            format!("give its influxdb.conf with --influx-config, or the directory with {flag}"),
        )
    })?;
    let found = real(&path, young || told.as_ref() == Some(&path)).map_err(|error| {
        usage(
            format!("the target's {what} directory {} cannot be used: {error}", path.display()),
            format!("the restore runs on the target's machine, as root; is {flag} right?"),
        )
    })?;
    if let (Some(_), Some(told)) = (given, told)
        && real(&told, true).ok().as_ref() != Some(&found)
    {
        return Err(usage(
            format!("the target's {what} directory is {}, not {}", told.display(), path.display()),
            format!("leave {flag} and --influx-config out, or see to it that --target names the right server"),
        ));
    }
    Ok(found)
}

/// The path without links. A server makes its WAL directory with its first shard, so that the one which it or its
/// configuration `tells` of need not exist yet.
fn real(path: &Path, tells: bool) -> io::Result<PathBuf> {
    match (path.canonicalize(), path.parent(), path.file_name()) {
        (Err(error), Some(parent), Some(name)) if tells && error.kind() == io::ErrorKind::NotFound => {
            Ok(parent.canonicalize()?.join(name))
        }
        (found, _, _) => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn flags_beat_the_configuration_which_beats_what_the_server_tells() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        for name in ["meta", "data", "wal", "other"] {
            fs::create_dir(root.join(name)).unwrap();
        }
        let file = root.join("influxdb.conf");
        let shown = root.display();
        fs::write(&file, format!("[meta]\ndir = \"{shown}/meta\"\n[data]\ndir = \"{shown}/data\"\nwal-dir = \"{shown}/wal\"\n[http]\nbind-address = \":8086\"\n")).unwrap();
        let mut directories = Directories { influx_config: Some(file.clone()), ..Directories::default() };
        let paths = Paths { meta: root.join("meta"), data: root.join("data"), wal: root.join("wal") };
        assert_eq!(directories.resolve(Told::default()).unwrap(), paths);

        directories.wal = Some(root.join("other"));
        assert_eq!(directories.resolve(Told::default()).unwrap().wal, root.join("other"));

        let told = || Told {
            port: None,
            meta: Some(root.join("meta")),
            data: Some(root.join("data")),
            wal: Some(root.join("wal")),
        };
        assert_eq!(Directories::default().resolve(told()).unwrap(), paths);

        // A young server has made no WAL directory yet.
        let young = Told { wal: Some(root.join("later")), ..told() };
        assert_eq!(Directories::default().resolve(young).unwrap().wal, root.join("later"));

        // Nor has one that tells nothing, but is known by its configuration.
        let config = root.join("young.conf");
        fs::write(
            &config,
            format!("[meta]\ndir = \"{shown}/meta\"\n[data]\ndir = \"{shown}/data\"\nwal-dir = \"{shown}/later\"\n"),
        )
        .unwrap();
        let configured = Directories { influx_config: Some(config), ..Directories::default() };
        assert_eq!(configured.resolve(Told::default()).unwrap().wal, root.join("later"));
        let misspelt = Directories { wal: Some(root.join("wall")), ..configured };
        assert_eq!(misspelt.resolve(Told::default()).unwrap_err().kind(), Kind::Usage);

        // The server knows better than a flag.
        let error = directories.resolve(told()).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage, "{error}");
        assert!(error.to_string().ends_with(&format!("is {shown}/wal, not {shown}/other")), "{error}");

        directories.data = Some(root.join("absent"));
        assert_eq!(directories.resolve(Told::default()).unwrap_err().kind(), Kind::Usage);

        let error = Directories::default().resolve(Told::default()).unwrap_err();
        assert!(error.hint_text().unwrap().contains("--influx-config"), "{error}");

        // The configuration at the usual place is the last to be asked, and need not be there.
        let usual = |file: PathBuf| Directories { default_influx_config: Some(file), ..Directories::default() };
        assert_eq!(usual(file.clone()).resolve(Told::default()).unwrap(), paths);
        let elsewhere = Told { wal: Some(root.join("other")), ..Told::default() };
        assert_eq!(usual(file.clone()).resolve(elsewhere).unwrap().wal, root.join("other"));
        let given = Directories { meta: Some(root.join("other")), ..usual(file.clone()) };
        assert_eq!(given.resolve(Told::default()).unwrap(), Paths { meta: root.join("other"), ..paths.clone() });
        // It may be that of another server of this machine.
        let at = |port: u16| Told { port: Some(port), ..Told::default() };
        assert_eq!(usual(file.clone()).resolve(at(8086)).unwrap(), paths);
        assert_eq!(usual(file.clone()).resolve(at(8087)).unwrap_err().kind(), Kind::Usage);
        assert_eq!(usual(root.join("absent")).resolve(Told::default()).unwrap_err().kind(), Kind::Usage);
        assert_eq!(usual(file.clone()).flags_while_down(&paths, None), None);
        let flags = format!("--meta-dir {shown}/meta --data-dir {shown}/data --wal-dir {shown}/wal");
        assert_eq!(Directories::default().flags_while_down(&paths, None), Some(flags));

        fs::write(&file, "[meta\n").unwrap();
        assert_eq!(usual(file.clone()).resolve(told()).unwrap(), paths, "not read where the server tells");
        let broken = Directories { influx_config: Some(file), ..Directories::default() };
        assert_eq!(broken.resolve(told()).unwrap_err().kind(), Kind::Usage);
    }
}
