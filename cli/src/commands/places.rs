//! Arguments that several commands share.

use std::path::PathBuf;

use crate::compose::{DataDir, data_dir};

/// Which data directory.
#[derive(Debug, clap::Args)]
pub struct DataDirArgument {
    /// The data directory [env: DATA_DIR] [default: ./data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl DataDirArgument {
    /// Takes the directory, which is made if there is none.
    pub fn create(&self) -> anyhow::Result<DataDir> {
        DataDir::create(&data_dir::chosen(self.data_dir.as_deref()))
    }

    /// Takes the directory, which must be there.
    pub fn existing(&self) -> anyhow::Result<DataDir> {
        DataDir::existing(&data_dir::chosen(self.data_dir.as_deref()))
    }
}
