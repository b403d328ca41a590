//! The certificate that somebody else renews: read again when its files have changed, and served
//! from then on. One that cannot be used changes nothing.
//!
//! It knows neither clocks nor signals; who has it says when to look.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use gameserver_transport::certificate::{IdentityError, ServerCertificate};
use gameserver_transport::listener::CertificateSwitch;

use crate::config::CertificateFiles;

/// What came of reading the files again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// It is the certificate that was served before, or the instance makes its own.
    Unchanged,
    /// Another one is served from now on. Connections live on.
    Replaced,
}

/// The files and what is served of them.
#[derive(Debug)]
pub(crate) struct CertificateKeeper {
    files: CertificateFiles,
    switch: CertificateSwitch,
    served: Mutex<Served>,
}

#[derive(Debug)]
struct Served {
    certificate: ServerCertificate,
    /// None until the files were read here, or when they cannot be looked at.
    files: Option<[Stamp; 2]>,
}

/// When a file was written, and its length: clocks may be coarse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    written: SystemTime,
    length: u64,
}

impl CertificateKeeper {
    /// `served` was read from these files when the listener was opened.
    pub(crate) fn new(
        files: CertificateFiles,
        served: &ServerCertificate,
        switch: CertificateSwitch,
    ) -> Self {
        let served = Served {
            certificate: served.clone(),
            files: None,
        };
        Self {
            files,
            switch,
            served: Mutex::new(served),
        }
    }

    /// Reads the files when they were written since they were last served.
    pub(crate) fn look(&self) -> Result<Reload, IdentityError> {
        let now = self.stamps();
        let is_served = now.is_some() && now == self.lock().files;
        if is_served {
            return Ok(Reload::Unchanged);
        }
        self.reload()
    }

    /// Reads the files and serves what is in them.
    pub(crate) fn reload(&self) -> Result<Reload, IdentityError> {
        let mut served = self.lock();
        // Looked at first: what is written while it is read is found by the next look.
        let files = self.stamps();
        let certificate = ServerCertificate::from_pem_files(&self.files.chain, &self.files.key)?;
        self.switch.serve(&certificate)?;
        let is_another = certificate.sha256() != served.certificate.sha256();
        *served = Served { certificate, files };
        if is_another {
            let sha256 = served.certificate.sha256();
            tracing::info!(sha256, "another certificate is served");
            return Ok(Reload::Replaced);
        }
        Ok(Reload::Unchanged)
    }

    /// What is served now.
    pub(crate) fn served(&self) -> ServerCertificate {
        self.lock().certificate.clone()
    }

    fn stamps(&self) -> Option<[Stamp; 2]> {
        Some([Stamp::of(&self.files.chain)?, Stamp::of(&self.files.key)?])
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Served> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        Some(Self {
            written: found.modified().ok()?,
            length: found.len(),
        })
    }
}
