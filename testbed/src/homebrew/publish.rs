//! Making everything that a formula with its bottles consists of, in the order in which it happens.

use super::formula::{BACKFILLED_AT, backfill};
use super::{Bottle, Formula, ROOT_URL, image_name};
use crate::{
    Answer, Build, Claims, Releasable, Scenario, World, archive,
    build::{SLSA_V1, STATEMENT_V1},
    edit::apply,
    encoding::sha256,
    github::{Origin, Recipe, StoredAttestation},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use std::fmt::{self, Write as _};

/// How long after the attestation the formula API knows the bottles.
const GENERATION: SignedDuration = SignedDuration::from_mins(14);
/// The modification time of every file of a bottle: 2024-01-01T00:00:00Z.
const POURED_AT: u64 = 1_704_067_200;
/// The systems whose bottles had the same bytes, where one is for all.
const MERGED: [&str; 2] = ["arm64_sequoia", "x86_64_linux"];

/// A formula with everything that was made for it.
#[derive(Clone)]
pub struct FormulaPublished {
    /// The formula's name.
    pub name: String,
    /// The version with the revision.
    pub version: String,
    /// Its document in the formula API.
    pub document: Value,
    /// Its bottles.
    pub bottles: Vec<BottleServed>,
    /// When the formula API began to tell of it.
    pub published_at: Timestamp,
    pub(super) answer: Option<Answer>,
    /// Where it comes from, and where its attestations are.
    pub(crate) origins: Vec<Origin>,
}

/// A bottle as it is served.
#[derive(Clone)]
pub struct BottleServed {
    /// The system.
    pub tag: String,
    /// The name, with two dashes behind that of the formula.
    pub filename: String,
    /// The address that the formula API lists.
    pub url: String,
    /// The SHA-256 digest that it lists, in hexadecimal.
    pub sha256: String,
    /// The bytes.
    pub bytes: Vec<u8>,
    pub(super) answer: Answer,
}

impl fmt::Debug for FormulaPublished {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("FormulaPublished")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("bottles", &self.bottles)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for BottleServed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("BottleServed")
            .field("filename", &self.filename)
            .field("sha256", &self.sha256)
            .finish_non_exhaustive()
    }
}

impl Formula {
    /// Builds, signs, stores and lists, in `world`.
    pub fn publish(&self, world: &World) -> FormulaPublished {
        let bottles: Vec<BottleServed> = self.bottles.iter().map(|bottle| self.pour(bottle)).collect();
        let attested: Vec<&BottleServed> = bottles
            .iter()
            .zip(&self.bottles)
            .filter(|(_, plan)| plan.attested)
            .map(|(bottle, _)| bottle)
            .collect();
        let mut origins = vec![self.origin(world, &attested)];
        origins.push(self.backfill_origin(world, &attested));
        let mut document = self.honest_document(&bottles);
        apply(&self.document, &mut document);
        let served = bottles.into_iter().zip(&self.bottles);
        let bottles = served
            .map(|(mut bottle, plan)| {
                apply(&plan.bytes, &mut bottle.bytes);
                bottle
            })
            .collect();
        FormulaPublished {
            name: self.name.clone(),
            version: self.package_version(),
            document,
            bottles,
            published_at: self.at + GENERATION,
            answer: self.answer.clone(),
            origins,
        }
    }

    /// The honest bottle.
    fn pour(&self, bottle: &Bottle) -> BottleServed {
        let folder = format!("{}/{}", self.name, self.package_version());
        let receipt = json!({"homebrew_version": "5.1.0", "poured_from_bottle": false, "rebuild": self.rebuild});
        let files = [
            (format!("{folder}/INSTALL_RECEIPT.json"), receipt.to_string()),
            (format!("{folder}/.brew/{}.rb", self.name), self.source()),
            (
                format!("{folder}/bin/{}", self.name),
                format!("#!/bin/sh\necho {} for {}\n", self.package_version(), bottle.poured_for),
            ),
        ];
        let bytes = archive::tar_gz(&files, POURED_AT);
        let digest = hex::encode(sha256(&bytes));
        BottleServed {
            filename: self.bottle_name(&bottle.tag),
            url: format!("{ROOT_URL}/{}/blobs/sha256:{digest}", image_name(&self.name)),
            sha256: digest,
            tag: bottle.tag.clone(),
            bytes,
            answer: bottle.answer.clone(),
        }
    }

    /// The run that attested the bottles, with what it stored.
    fn origin(&self, world: &World, bottles: &[&BottleServed]) -> Origin {
        let subjects: Vec<Value> = bottles.iter().flat_map(|bottle| self.subjects(bottle)).collect();
        let statements = if self.separately {
            subjects.into_iter().map(|subject| vec![subject]).collect()
        } else {
            vec![subjects]
        };
        let mut stored = Vec::new();
        if let Some(attesting) = self.attesting.as_ref().filter(|_| !bottles.is_empty()) {
            for subjects in statements {
                let statement = statement(&subjects, &self.build.slsa_of_actions());
                stored.extend(attesting.store(world, self.at, Claims::of(&self.build), statement));
            }
        }
        Origin {
            version: self.package_version(),
            run: self.run.clone(),
            commit: self.commit.clone(),
            repository: self.repository.clone(),
            ..bare(
                &self.build,
                self.at,
                Recipe::bottles(&self.source_path(), self.source()),
                stored,
            )
        }
    }

    /// The run that attested bottles later, with what it stored: a statement for each bottle, of the kind that was usual then.
    /// It is there whether or not it attested these.
    fn backfill_origin(&self, world: &World, bottles: &[&BottleServed]) -> Origin {
        let Some((attesting, build)) = &self.backfill else {
            return bare(
                &backfill(),
                crate::moment(BACKFILLED_AT),
                Recipe::backfill(),
                Vec::new(),
            );
        };
        let at = attesting.time().unwrap_or(self.at);
        let stored = bottles
            .iter()
            .flat_map(|bottle| {
                let name = format!("{}--{}", hex::encode(sha256(bottle.url.as_bytes())), bottle.filename);
                let statement = statement(&[subject(&name, &bottle.sha256)], &build.slsa_v1());
                attesting.store(world, at, Claims::of(build), statement)
            })
            .collect();
        bare(build, at, Recipe::backfill(), stored)
    }

    /// A bottle as subjects: one that is for all systems has the names of those that it was made of.
    fn subjects(&self, bottle: &BottleServed) -> Vec<Value> {
        if bottle.tag == "all" {
            let tags = MERGED.iter();
            tags.map(|tag| subject(&self.bottle_name(tag), &bottle.sha256))
                .collect()
        } else {
            vec![subject(&bottle.filename, &bottle.sha256)]
        }
    }

    /// The path of the formula in its repository.
    fn source_path(&self) -> String {
        let folder = if self.name.starts_with("lib") {
            "lib".to_owned()
        } else {
            self.name.chars().take(1).collect()
        };
        format!("Formula/{folder}/{}.rb", self.name)
    }

    /// Where its source is, and the digest of it.
    fn source_archive(&self) -> (String, String) {
        let url = format!("https://source.example/{0}/{0}-{1}.tar.gz", self.name, self.version);
        let digest = hex::encode(sha256(url.as_bytes()));
        (url, digest)
    }

    /// The formula itself.
    fn source(&self) -> String {
        let class: String = self.name.split(['-', '@', '.']).map(capitalized).collect();
        let (url, digest) = self.source_archive();
        let mut source = format!(
            "class {class} < Formula\n  desc \"{}\"\n  url \"{url}\"\n  sha256 \"{digest}\"\n",
            self.description()
        );
        if self.revision > 0 {
            // Writing to a string does not fail.
            let _ = writeln!(source, "  revision {}", self.revision);
        }
        source + "end\n"
    }

    fn description(&self) -> String {
        format!("The formula {}", self.name)
    }

    fn honest_document(&self, bottles: &[BottleServed]) -> Value {
        let (url, checksum) = self.source_archive();
        let mut files = Map::new();
        for (bottle, plan) in bottles.iter().zip(&self.bottles) {
            let mut listing = json!({"cellar": ":any", "url": bottle.url, "sha256": bottle.sha256});
            apply(&plan.listing, &mut listing);
            files.insert(bottle.tag.clone(), listing);
        }
        let source = self.source();
        json!({
            "name": self.name,
            "full_name": self.name,
            "tap": "homebrew/core",
            "oldnames": [],
            "aliases": [],
            "versioned_formulae": [],
            "desc": self.description(),
            "license": "MIT",
            "homepage": format!("https://{}.example/", self.name),
            "versions": {"stable": self.version, "head": null, "bottle": !files.is_empty()},
            "urls": {"stable": {"url": url, "tag": null, "revision": null, "using": null, "checksum": checksum}},
            "revision": self.revision,
            "version_scheme": self.version_scheme,
            "bottle": if files.is_empty() {
                json!({})
            } else {
                json!({"stable": {"rebuild": self.rebuild, "root_url": ROOT_URL, "files": files}})
            },
            "keg_only": false,
            "dependencies": [],
            "deprecated": false,
            "disabled": false,
            "tap_git_head": self.build.commit,
            "ruby_source_path": self.source_path(),
            "ruby_source_checksum": {"sha256": hex::encode(sha256(source.as_bytes()))},
        })
    }
}

fn subject(name: &str, digest: &str) -> Value {
    json!({"name": name, "digest": {"sha256": digest}})
}

fn statement(subjects: &[Value], predicate: &Value) -> Value {
    json!({"_type": STATEMENT_V1, "subject": subjects, "predicateType": SLSA_V1, "predicate": predicate})
}

/// An origin that nobody changed.
fn bare(build: &Build, at: Timestamp, recipe: Recipe, stored: Vec<StoredAttestation>) -> Origin {
    Origin {
        build: build.clone(),
        version: String::new(),
        at,
        until: at,
        recipe,
        run: Vec::new(),
        commit: Vec::new(),
        repository: Vec::new(),
        stored,
    }
}

fn capitalized(part: &str) -> String {
    let mut letters = part.chars();
    letters.next().map_or_else(String::new, |first| {
        format!("{}{}", first.to_uppercase(), letters.as_str())
    })
}

impl Releasable for Formula {
    fn release_in(&self, scenario: &Scenario) {
        self.publish(scenario.world()).release_in(scenario);
    }
}

impl Releasable for FormulaPublished {
    fn release_in(&self, scenario: &Scenario) {
        scenario.leave(&self.origins);
        scenario.homebrew().publish(self.clone());
    }
}
