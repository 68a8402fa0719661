//! [`PeerConfig`] out of TOML and YAML files and the environment.
//!
//! A format becomes a tree of [`node`]s with their places (`toml.rs`, `yaml.rs`); a variable is a node by itself. What a key
//! is called and which field it sets is one table in `keys.rs`, what a value may look like is in `read.rs`.

mod env;
mod file;
mod keys;
mod node;
mod read;
mod toml;
mod yaml;

use std::{ffi::OsString, path::Path};

use self::file::Format;
use super::PeerConfig;
use crate::error::Error;

/// # From files and the environment
///
/// With the feature `config`.
impl PeerConfig {
    /// The defaults, changed by a file, changed by the environment:
    /// [`from_file`](Self::from_file), then [`with_env`](Self::with_env).
    ///
    /// ```no_run
    /// use teleport::{Peer, PeerConfig};
    ///
    /// let config = PeerConfig::load("teleport.toml")?;
    /// let peer = Peer::builder().config(config).build()?;
    /// # let _ = peer;
    /// # Ok::<(), teleport::Error>(())
    /// ```
    ///
    /// # Errors
    /// As those two.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::from_file(path)?.with_env()
    }

    /// The defaults, changed by a file whose name ends in `.toml`, `.yaml` or `.yml`.
    ///
    /// See [above](Self#files-and-environment) for the keys. It reads the file at once: call it before the runtime is busy.
    ///
    /// # Errors
    /// The file cannot be read, or is over 1 MiB, or not what its name says; a key is unknown or given twice, also under its
    /// two names; a value is of the wrong kind or out of bounds. The [source](std::error::Error::source) of the error says
    /// line, column, key, what stands there and what is allowed, for up to ten mistakes at once.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        file::open(path).map_err(|error| Error::read_config(error, &path.display().to_string()))
    }

    /// The defaults, changed by a text in TOML.
    ///
    /// ```
    /// use std::time::Duration;
    /// use teleport::PeerConfig;
    ///
    /// let config = PeerConfig::from_toml(
    ///     r#"
    ///     listen = ["0.0.0.0:9090"]
    ///     read_timeout = "3m"
    ///     limits.packet = "1 MiB"
    ///     "#,
    /// )?;
    /// assert_eq!(config.read_timeout, Some(Duration::from_secs(180)));
    /// assert_eq!(config.limits.packet, 1024 * 1024);
    /// assert_eq!(config.gzip, 0);
    /// # Ok::<(), teleport::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`from_file`](Self::from_file).
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        file::parse(Format::Toml, text).map_err(|error| Error::read_config(error, "TOML"))
    }

    /// The defaults, changed by a text in YAML. Anchors, aliases and tags are not read.
    ///
    /// ```
    /// use teleport::PeerConfig;
    ///
    /// // As Go teleport writes it.
    /// let config = PeerConfig::from_yaml(
    ///     "
    ///     default_read_timeout: 0s
    ///     default_body_gzip_level: 5
    ///     default_body_codec: json
    ///     listen_addrs:
    ///       - 0.0.0.0:9090
    ///       - 0.0.0.0:9091
    ///     ",
    /// )?;
    /// assert_eq!(config.read_timeout, None);
    /// assert_eq!(config.listen.len(), 2);
    /// # Ok::<(), teleport::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`from_file`](Self::from_file).
    pub fn from_yaml(text: &str) -> Result<Self, Error> {
        file::parse(Format::Yaml, text).map_err(|error| Error::read_config(error, "YAML"))
    }

    /// This configuration, changed by the environment: `TELEPORT_READ_TIMEOUT=3m`, `TELEPORT_LIMITS_PACKET='1 MiB'`,
    /// `TELEPORT_LISTEN=0.0.0.0:9090,0.0.0.0:9091`.
    ///
    /// An empty variable counts as not set. So does an unknown one, for others may use the prefix (Kubernetes sets
    /// `TELEPORT_PORT` if a service is called so), unless it looks like a misspelt one: that is an error.
    ///
    /// ```
    /// use teleport::PeerConfig;
    ///
    /// let config = PeerConfig::from_toml("gzip = 5")?.with_env()?;
    /// # let _ = config;
    /// # Ok::<(), teleport::Error>(())
    /// ```
    ///
    /// # Errors
    /// A variable is misspelt, or its value is wrong; the [source](std::error::Error::source) of the error names it.
    pub fn with_env(self) -> Result<Self, Error> {
        self.with_vars(std::env::vars_os())
    }

    /// For tests, which must not touch the environment.
    #[doc(hidden)]
    pub fn with_vars(
        self,
        vars: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Error> {
        env::overlay(self, vars.into_iter())
            .map_err(|error| Error::read_config(error, "the environment"))
    }
}
