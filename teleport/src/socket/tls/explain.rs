//! What went wrong with TLS, in words that say what to do.

use std::{error::Error as StdError, fmt, io};

use tokio_rustls::rustls::{self, AlertDescription, CertificateError};

/// Which side of a handshake this one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Client,
    Server,
}

/// A failure of TLS. Its source is what rustls or the socket said.
#[derive(Debug)]
pub(crate) struct TlsError {
    text: &'static str,
    source: io::Error,
}

impl TlsError {
    /// Explains the failure of a handshake.
    pub(super) fn handshake(role: Role, error: io::Error) -> Self {
        let text = match (tls_error(&error), error.kind()) {
            (Some(error), _) => explain(role, error).unwrap_or("the TLS handshake failed"),
            (None, io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => match role {
                Role::Client => {
                    "the other side hung up in the TLS handshake, as one does that speaks no TLS: \
                     if so, dial tcp://host:port"
                }
                Role::Server => "the other side hung up in the TLS handshake",
            },
            (None, _) => "the connection broke in the TLS handshake",
        };
        Self {
            text,
            source: error,
        }
    }

    /// Explains an error of a stream after its handshake, if there is more to say than the error does itself.
    pub(super) fn stream(role: Role, error: io::Error) -> io::Error {
        let kind = error.kind();
        let text = match tls_error(&error) {
            Some(error) => explain(role, error).unwrap_or("TLS failed"),
            None if kind == io::ErrorKind::UnexpectedEof => {
                "the connection was cut: TLS was not ended in good order"
            }
            None => return error,
        };
        let source = error;
        io::Error::new(kind, Self { text, source })
    }
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn explain(role: Role, error: &rustls::Error) -> Option<&'static str> {
    match (error, role) {
        (rustls::Error::InvalidMessage(_), Role::Client) => {
            Some("the other side does not speak TLS: dial tcp://host:port")
        }
        (rustls::Error::InvalidMessage(_), Role::Server) => Some(
            "the other side does not speak TLS: it must dial tls://host:port, or this side listen at tcp://host:port",
        ),
        (rustls::Error::InvalidCertificate(error), _) => Some(explain_certificate(role, error)),
        (rustls::Error::NoCertificatesPresented, _) => Some(
            "the other side shows no certificate, and this side demands one: it needs tls_cert_file and tls_key_file",
        ),
        (rustls::Error::AlertReceived(alert), _) => explain_alert(role, *alert),
        _ => None,
    }
}

/// What is wrong with the other side's certificate.
fn explain_certificate(role: Role, error: &CertificateError) -> &'static str {
    match (error, role) {
        (CertificateError::Expired | CertificateError::ExpiredContext { .. }, _) => {
            "the other side's certificate has expired: it needs a new one, unless the clock of this machine is wrong"
        }
        (CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }, _) => {
            "the other side's certificate is not valid yet: see its dates, and the clock of this machine"
        }
        (CertificateError::UnknownIssuer, Role::Client) => {
            "the other side's certificate comes from no issuer that this side trusts: put the issuer's into tls_ca_file"
        }
        (CertificateError::UnknownIssuer, Role::Server) => {
            "the other side's certificate comes from no issuer that this side trusts: put the issuer's into \
             tls_client_ca_file"
        }
        (CertificateError::BadSignature, _) => {
            "the other side's certificate is not signed by the authority that it names: perhaps another one of that name"
        }
        (
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            _,
        ) => {
            "the other side's certificate is for other names: dial one of them, or say which to expect with \
             `ConnOptions::tls_server_name`"
        }
        (
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. },
            Role::Client,
        ) => {
            "the other side's certificate is not one for a server: its extended key usage must have serverAuth"
        }
        (
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. },
            Role::Server,
        ) => {
            "the other side's certificate is not one for a client: its extended key usage must have clientAuth"
        }
        (CertificateError::Other(other), _) if is_of_an_authority(other) => {
            "the other side's certificate is one of an authority, which signs others (basicConstraints CA:TRUE): \
             it needs one with CA:FALSE"
        }
        _ => "the other side's certificate is not acceptable",
    }
}

/// The usual outcome of a self-signed certificate made in a hurry. Its error has a type that rustls does not hand on.
fn is_of_an_authority(error: &rustls::OtherError) -> bool {
    error.to_string().contains("CaUsedAsEndEntity")
}

/// What the other side has told.
fn explain_alert(role: Role, alert: AlertDescription) -> Option<&'static str> {
    match (alert, role) {
        (AlertDescription::CertificateRequired, _) => Some(
            "the other side demands a certificate, and this side has shown none: set tls_cert_file and tls_key_file",
        ),
        (AlertDescription::UnknownCA, Role::Client) => Some(
            "the other side does not trust the issuer of this side's certificate: it must be in its tls_client_ca_file",
        ),
        (AlertDescription::UnknownCA, Role::Server) => Some(
            "the other side does not trust the issuer of this side's certificate: it must be in its tls_ca_file",
        ),
        (AlertDescription::CertificateExpired, _) => Some(
            "the other side says that this side's certificate is out of date: it needs a new one",
        ),
        (
            AlertDescription::BadCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::DecryptError
            | AlertDescription::UnsupportedCertificate,
            _,
        ) => Some(
            "the other side refuses this side's certificate; it knows why, see its error or log",
        ),
        (AlertDescription::ProtocolVersion, _) => {
            Some("the two sides have no version of TLS in common; this side speaks 1.2 and 1.3")
        }
        (AlertDescription::NoApplicationProtocol, _) => {
            Some("the two sides have no application protocol (ALPN) in common")
        }
        _ => None,
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

impl StdError for TlsError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.source)
    }
}
