//! The embedded store of this machine's user.

use std::path::PathBuf;

use anyhow::Context as _;
use directories::ProjectDirs;
use hekate::adapters::embedded::{EmbeddedDynamoDb, EmbeddedError};
use hekate::config::Config;

use crate::exit::Failure;

/// The file in the user's data folder.
const FILE: &str = "store.db";

/// Opens the store that the configuration names, or the user's own.
pub(crate) async fn open(config: &Config) -> Result<EmbeddedDynamoDb, Failure> {
    let path = match &config.store {
        Some(path) => path.clone(),
        None => default_path().map_err(Failure::input)?,
    };
    EmbeddedDynamoDb::start(Some(&path)).await.map_err(failure)
}

/// A store that ends with the process.
pub(crate) async fn in_memory() -> Result<EmbeddedDynamoDb, Failure> {
    EmbeddedDynamoDb::start(None).await.map_err(failure)
}

fn default_path() -> anyhow::Result<PathBuf> {
    let folders = ProjectDirs::from("", "", "hekate")
        .context("no home folder is known to keep the store in: name a file with HEKATE_STORE")?;
    Ok(folders.data_local_dir().join(FILE))
}

fn failure(error: EmbeddedError) -> Failure {
    match error {
        EmbeddedError::Folder { .. } | EmbeddedError::Path { .. } | EmbeddedError::Open { .. } => Failure::input(error),
        EmbeddedError::Locked { .. } | EmbeddedError::Serve(_) | EmbeddedError::Table(_) => Failure::passing(error),
    }
}
