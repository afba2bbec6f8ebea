//! From options to connections: the archive's store, and InfluxDB.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use influx::Influx;
use store::swift::Settings;
use store::{Folder, Metered, Store, Swift};
use url::Url;

use crate::door::Context;
use crate::environment::Environment;
use crate::exit::{Code, Failure};
use crate::options::{Archive, Source, Target};
use crate::values::{ArchiveUrl, Secret};
use crate::{file, layers, openstack};

/// A store that answers.
#[derive(Debug)]
pub struct Connected {
    /// The store.
    pub store: Arc<dyn Store>,
    /// When the token expires, if it is one that cannot be renewed.
    pub token_expiry: Option<DateTime<Utc>>,
}

impl Archive {
    /// Opens the archive; for a Swift that means a token, and the account's address from the catalogue.
    ///
    /// # Errors
    ///
    /// When no archive is configured, its credentials are incomplete, or it does not answer.
    pub async fn connect(&self, context: &Context) -> Result<Connected, Failure> {
        let mut connected = self.open(&context.environment).await?;
        if self.limit_rate.is_some() || context.is_watched {
            connected.store = Arc::new(Metered::new(connected.store, self.limit_rate, &context.travelled));
        }
        Ok(connected)
    }

    /// The same for a program that changes nothing: a folder that is not there is none, and is not made.
    ///
    /// # Errors
    ///
    /// As [`Archive::connect`], and when the folder does not exist.
    pub async fn connect_to_look(&self, context: &Context) -> Result<Connected, Failure> {
        match &self.archive {
            Some(ArchiveUrl::Folder(path)) if !path.is_dir() => Err(Failure {
                code: Code::Missing,
                message: format!("there is no folder {}", path.display()),
                hint: Some("is its disk mounted, and --archive right? the first backup makes the folder".to_owned()),
            }),
            _ => self.connect(context).await,
        }
    }

    async fn open(&self, environment: &Environment) -> Result<Connected, Failure> {
        match &self.archive {
            None => Err(Failure::usage(
                "no archive is configured",
                "give --archive swift: or --archive file:///PATH, set NIGHTSHARD_ARCHIVE, or write archive = … into \
                 the configuration file",
            )),
            Some(ArchiveUrl::Folder(path)) => {
                let store: Arc<dyn Store> = Arc::new(Folder::open(path).map_err(jobs::Error::from)?);
                Ok(Connected { store, token_expiry: None })
            }
            Some(ArchiveUrl::Swift) => {
                let swift = Swift::connect(self.swift(environment)?).await.map_err(jobs::Error::from)?;
                let token_expiry = swift.unrenewable_token_expiry();
                Ok(Connected { store: Arc::new(swift), token_expiry })
            }
        }
    }

    fn swift(&self, environment: &Environment) -> Result<Settings, Failure> {
        let account = openstack::account(environment, Path::new("."))?;
        let mut settings = Settings::new(account.credentials);
        settings.ca_certificate = account.ca_certificate;
        settings.insecure = account.insecure;
        settings.proxy = account.proxy;
        settings.segment_size = self.segment_size;
        settings.segments_container = self.segments_container.clone();
        settings.tries = self.tries;
        Ok(settings)
    }
}

impl Source {
    /// Prepares the connections; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// When a password cannot be read or stands without a user, or the settings cannot work.
    pub fn connect(&self) -> Result<Influx, Failure> {
        Server {
            which: "source",
            url: &self.source,
            snapshot_address: &self.snapshot_addr,
            user: self.source_user.as_ref(),
            password: self.source_password.as_ref(),
            password_file: self.source_password_file.as_ref(),
            ca_certificate: self.source_ca_certificate.as_ref(),
            insecure: self.source_insecure,
        }
        .connect()
    }
}

impl Target {
    /// Prepares the connections; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// As for [`Source::connect`].
    pub fn connect(&self) -> Result<Influx, Failure> {
        Server {
            which: "target",
            url: &self.target,
            snapshot_address: &self.target_snapshot_addr,
            user: self.target_user.as_ref(),
            password: self.target_password.as_ref(),
            password_file: self.target_password_file.as_ref(),
            ca_certificate: self.target_ca_certificate.as_ref(),
            insecure: self.target_insecure,
        }
        .connect()
    }
}

/// What source and target have in common.
struct Server<'a> {
    which: &'static str,
    url: &'a Url,
    snapshot_address: &'a str,
    user: Option<&'a String>,
    password: Option<&'a Secret>,
    password_file: Option<&'a PathBuf>,
    ca_certificate: Option<&'a PathBuf>,
    insecure: bool,
}

impl Server<'_> {
    fn connect(self) -> Result<Influx, Failure> {
        let password = match (self.password, self.password_file) {
            (Some(Secret(password)), _) => Some(password.clone()),
            (None, Some(path)) => {
                if file::readable_by_others(path) {
                    tracing::warn!("{} holds a password and can be read by everybody: chmod o-r it", path.display());
                }
                Some(layers::read_secret(path)?)
            }
            (None, None) => None,
        };
        if password.is_some() && self.user.is_none() {
            let which = self.which;
            return Err(Failure::usage(
                format!("there is a password for the {which} InfluxDB, but no user"),
                format!("set NIGHTSHARD_{}_USER, or {which}_user in the configuration file", which.to_uppercase()),
            ));
        }
        let mut settings = influx::Settings::new(self.url.clone(), self.snapshot_address);
        settings.user = self.user.cloned();
        settings.password = password;
        settings.ca_certificate = self.ca_certificate.cloned();
        settings.insecure = self.insecure;
        Ok(Influx::new(settings).map_err(jobs::Error::from)?)
    }
}
