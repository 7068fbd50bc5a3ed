//! Core metadata, and the archives that carry it: source distributions and wheels.

use super::escaped;
use crate::{
    archive,
    encoding::{base64, sha256},
};
use std::fmt::Write as _;

/// The modification time of every file of a source distribution: 2020-02-02T00:00:00Z, as common build backends have it.
const PACKED_AT: u64 = 1_580_601_600;

/// What a distribution says about itself (PEP 566, 753).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoreMetadata {
    /// The name, as the project writes it.
    pub name: String,
    /// The version.
    pub version: String,
    /// `Home-page`.
    pub home_page: Option<String>,
    /// `Project-URL`: label and address.
    pub project_urls: Vec<(String, String)>,
    /// `Requires-Python`.
    pub requires_python: Option<String>,
}

impl CoreMetadata {
    /// The metadata as text.
    pub fn text(&self) -> String {
        let mut text = format!(
            "Metadata-Version: 2.4\nName: {}\nVersion: {}\nSummary: {}\n",
            self.name,
            self.version,
            self.summary()
        );
        let mut add = |name: &str, value: &str| {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{name}: {value}");
        };
        if let Some(home_page) = &self.home_page {
            add("Home-page", home_page);
        }
        for (label, address) in &self.project_urls {
            add("Project-URL", &format!("{label}, {address}"));
        }
        if let Some(python) = &self.requires_python {
            add("Requires-Python", python);
        }
        add("Description-Content-Type", "text/markdown");
        let _ = write!(text, "\n# {}\n", self.name);
        text
    }

    /// The summary.
    pub(super) fn summary(&self) -> String {
        format!("The package {}.", self.name)
    }

    /// The content of `pyproject.toml`.
    pub(super) fn pyproject(&self) -> String {
        format!(
            "[build-system]\nrequires = [\"hatchling\"]\nbuild-backend = \"hatchling.build\"\n\n[project]\nname = \"{}\"\nversion = \"{}\"\n",
            self.name, self.version
        )
    }

    /// Name and version in the names of files and folders.
    pub(super) fn stem(&self) -> String {
        format!("{}-{}", escaped(&self.name), self.version)
    }

    /// A source distribution, whose folder has the name `stem`, with its metadata or, as those of long ago, without.
    pub(super) fn sdist(&self, stem: &str, has_metadata: bool) -> Vec<u8> {
        let mut files = vec![
            ("PKG-INFO".to_owned(), self.text()),
            ("README.md".to_owned(), format!("# {}\n", self.name)),
            (format!("{}/__init__.py", escaped(&self.name)), self.module()),
            ("pyproject.toml".to_owned(), self.pyproject()),
        ];
        files.retain(|(path, _)| has_metadata || path != "PKG-INFO");
        let files: Vec<_> = files
            .into_iter()
            .map(|(path, content)| (format!("{stem}/{path}"), content))
            .collect();
        archive::tar_gz(&files, PACKED_AT)
    }

    /// A wheel for `tag`, whose metadata folder begins with `stem`.
    pub(super) fn wheel(&self, stem: &str, tag: &str) -> Vec<u8> {
        let folder = format!("{stem}.dist-info");
        let pure = tag.ends_with("-none-any");
        let wheel = format!("Wheel-Version: 1.0\nGenerator: hatchling 1.27.0\nRoot-Is-Purelib: {pure}\nTag: {tag}\n");
        let mut files = vec![
            (format!("{}/__init__.py", escaped(&self.name)), self.module()),
            (format!("{folder}/METADATA"), self.text()),
            (format!("{folder}/WHEEL"), wheel),
        ];
        let mut record = String::new();
        for (path, content) in &files {
            let digest = base64(sha256(content.as_bytes())).replace('+', "-").replace('/', "_");
            let digest = digest.trim_end_matches('=');
            // Writing to a string does not fail.
            let _ = writeln!(record, "{path},sha256={digest},{}", content.len());
        }
        let path = format!("{folder}/RECORD");
        let _ = writeln!(record, "{path},,");
        files.push((path, record));
        archive::zip(&files)
    }

    /// The only module.
    fn module(&self) -> String {
        format!("__version__ = \"{}\"\n", self.version)
    }
}
