//! [`Failure`]: why a request to etcd did not succeed.

use std::{error::Error as StdError, fmt, future::Future, time::Duration};

/// The code of gRPC for what does not exist.
const NOT_FOUND: i32 = 5;

#[derive(Debug)]
pub(super) enum Failure {
    /// The watch was given up by etcd, which says why.
    Canceled(String),
    Client(etcd_client::Error),
    /// The stream of changes has ended.
    Ended,
    /// The lease has expired or was revoked, and its key is gone.
    LeaseLost,
    TimedOut(Duration),
}

impl Failure {
    /// Does the work in this time or gives it up.
    pub(super) async fn within<T>(
        limit: Duration,
        work: impl Future<Output = Result<T, etcd_client::Error>>,
    ) -> Result<T, Self> {
        match tokio::time::timeout(limit, work).await {
            Ok(result) => result.map_err(Self::from),
            Err(_) => Err(Self::TimedOut(limit)),
        }
    }
}

impl From<etcd_client::Error> for Failure {
    fn from(error: etcd_client::Error) -> Self {
        match error {
            // All that the client reports so is a lease that has no time left.
            etcd_client::Error::LeaseKeepAliveError(_) => Self::LeaseLost,
            etcd_client::Error::GRpcStatus(status) if i32::from(status.code()) == NOT_FOUND => {
                Self::LeaseLost
            }
            error => Self::Client(error),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Canceled(reason) => write!(f, "etcd has ended the watch: {reason}"),
            Self::Client(error) => write!(f, "{error}"),
            Self::Ended => f.write_str("the stream of changes has ended"),
            Self::LeaseLost => f.write_str("the lease has expired"),
            Self::TimedOut(limit) => write!(f, "etcd has not answered within {limit:?}"),
        }
    }
}

impl StdError for Failure {}
