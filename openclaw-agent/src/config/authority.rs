//! Authorities whose certificates are believed in place of the system's.

use std::fmt;
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::{Serialize, Serializer};

use super::node::Node;
use super::reader::Reader;
use super::trust;

/// A file of certificates in PEM (RFC 7468), and what it holds.
#[derive(Clone, PartialEq, Eq)]
pub struct Authority {
    path: PathBuf,
    /// The certificates, one at least.
    pub certificates: Vec<CertificateDer<'static>>,
}

impl Authority {
    /// Reads the file that a key names. Nobody else may have been able to write it: who could, could listen.
    pub(super) fn read(reader: &mut Reader<'_>, name: &str, node: &Node, folder: &Path) -> Option<Authority> {
        reader.parsed(name, node, |text| {
            let path = folder.join(text);
            let pem = trust::read_trusted(&path).map_err(|error| error.to_string())?;
            let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
            let mut roots = rustls::RootCertStore::empty();
            match certificates {
                Ok(certificates)
                    if !certificates.is_empty()
                        && certificates.iter().all(|certificate| roots.add(certificate.clone()).is_ok()) =>
                {
                    Ok(Authority { path, certificates })
                }
                _ => Err(format!(
                    "{} holds no certificate, or one that is broken: give a file in PEM, which has `-----BEGIN \
                     CERTIFICATE-----`",
                    path.display()
                )),
            }
        })
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.fmt(f)
    }
}

impl Serialize for Authority {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.path.serialize(serializer)
    }
}
