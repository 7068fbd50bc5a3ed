//! Making everything that a release consists of, in the order in which it happens.

use super::{PublishAttestation, Published, RegistryKeyChoice, Release};
use crate::{
    Attestation, Claims, Flavour, Parties, SignatureEncoding, World,
    attestation::PUBLISH,
    build::{SLSA_V1, SLSA_V02},
    bundle::{Seal, Signer},
    edit::apply,
    encoding::{base64, insert, sha1, sha512},
    github::{Origin, Recipe},
    keys::P256Key,
    npm::{self, registry::Publisher, tarball},
    sealing::Sealing,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::sync::OnceLock;

impl Release {
    /// Builds, signs, logs and publishes, in `world`.
    pub fn publish(&self, world: &World) -> Published {
        let mut package_json = self.honest_package_json();
        apply(&self.package_json, &mut package_json);
        let mut tarball = tarball::pack(&package_json);
        let origin = self.origin(&package_json);
        let digest = sha512(&tarball);
        let sha512 = hex::encode(&digest);
        let integrity = format!("sha512-{}", base64(&digest));
        let shasum = hex::encode(sha1(&tarball));

        let mut attestations = Vec::new();
        if self.publish_attested {
            attestations.push(self.publish_item(world, &sha512));
        }
        if self.provenance_attested {
            attestations.push(self.provenance_item(world, &sha512));
        }
        apply(&self.attestations, &mut attestations);

        let mut manifest = self.manifest(world, package_json, &integrity, &shasum, tarball.len());
        apply(&self.metadata, &mut manifest);
        apply(&self.tarball, &mut tarball);
        let prerelease = self.version.contains('-');
        Published {
            name: self.name.clone(),
            version: self.version.clone(),
            published_at: self.published_at.unwrap_or(self.at + SignedDuration::from_secs(3)),
            manifest,
            tarball,
            attestations,
            tag: self.tag.clone().or_else(|| (!prerelease).then(|| "latest".to_owned())),
            unpublished: self.unpublished,
            packument: self.packument.clone(),
            answers: self.answers.clone(),
            origin,
        }
    }

    fn origin(&self, package_json: &Value) -> Origin {
        Origin {
            build: self.build.clone(),
            version: self.version.clone(),
            at: self.at,
            until: self.at,
            recipe: Recipe::npm(package_json.clone()),
            run: self.run.clone(),
            commit: self.commit.clone(),
            repository: self.repository.clone(),
            stored: Vec::new(),
        }
    }

    fn honest_package_json(&self) -> Value {
        json!({
            "name": self.name,
            "version": self.version,
            "description": format!("The package {}.", self.name),
            "main": "index.js",
            "license": "MIT",
            "repository": {"type": "git", "url": format!("git+{}.git", self.build.repository_uri())},
        })
    }

    fn provenance_item(&self, world: &World, sha512: &str) -> Value {
        let mut sealing = Sealing::at(world, self.format.clone(), self.at);
        // npm's envelopes name no key, and say so.
        sealing.keyid = Some(String::new());
        let mut statement = self.build.provenance_statement(self.flavour, &self.purl(), sha512);
        let mut bundle = self.bends.seal(sealing, Claims::of(&self.build), &mut statement);
        apply(&self.bends.signed, &mut bundle);
        let predicate_type = statement
            .get("predicateType")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        Attestation { predicate_type, bundle }.into_item()
    }

    fn publish_item(&self, world: &World, sha512: &str) -> Value {
        let mut plan = PublishAttestation {
            format: self.publish_format.clone(),
            encoding: SignatureEncoding::Der,
            key: RegistryKeyChoice::InUse,
            hint: None,
            keyid: None,
            parties: Parties::of(world),
            logged_at: self.at + SignedDuration::from_secs(2),
        };
        apply(&self.publish, &mut plan);
        let mut statement = json!({
            "_type": "https://in-toto.io/Statement/v0.1",
            "subject": [{"name": self.purl(), "digest": {"sha512": sha512}}],
            "predicateType": PUBLISH,
            "predicate": {"name": self.name, "version": self.version, "registry": npm::REGISTRY},
        });
        apply(&self.publish_statement, &mut statement);
        let (key, key_id) = choose(&plan.parties.registry, plan.key, plan.logged_at);
        let mut bundle = Seal {
            signer: Signer::ManagedKey {
                key,
                hint: plan.hint.as_deref().unwrap_or(&key_id),
            },
            keyid: Some(plan.keyid.as_deref().unwrap_or(&key_id)),
            encoding: plan.encoding,
            format: &plan.format,
            log: &plan.parties.log,
            timestamp_authority: &plan.parties.timestamp_authority.timestamp_authority,
            at: plan.logged_at,
        }
        .bundle(statement.to_string().as_bytes());
        apply(&self.publish_bundle, &mut bundle);
        Attestation {
            predicate_type: PUBLISH.to_owned(),
            bundle,
        }
        .into_item()
    }

    fn manifest(&self, world: &World, package_json: Value, integrity: &str, shasum: &str, packed_size: usize) -> Value {
        let id = format!("{}@{}", self.name, self.version);
        let registry = self.registry_world.as_ref().unwrap_or(world);
        let (key, key_id) = choose(registry, self.registry_key, self.at);
        let base = self.name.rsplit('/').next().unwrap_or_default();
        let mut dist = json!({
            "integrity": integrity,
            "shasum": shasum,
            "tarball": format!("{}/{}/-/{base}-{}.tgz", npm::METADATA_HOST, self.name, self.version),
            "fileCount": 3,
            "unpackedSize": packed_size * 2,
            "signatures": [{"keyid": key_id, "sig": base64(key.sign(format!("{id}:{integrity}").as_bytes()))}],
        });
        if self.provenance_attested {
            let predicate_type = match self.flavour {
                Flavour::SlsaV1 => SLSA_V1,
                Flavour::SlsaV02 | Flavour::NodeBuilder | Flavour::GitLab => SLSA_V02,
            };
            let segment = npm::path_segment(&self.name);
            let url = format!(
                "{}/-/npm/v1/attestations/{segment}@{}",
                npm::METADATA_HOST,
                self.version
            );
            insert(
                &mut dist,
                "attestations",
                json!({"url": url, "provenance": {"predicateType": predicate_type}}),
            );
        }
        let publisher = self.publisher.clone().unwrap_or_else(|| {
            if self.provenance_attested {
                Publisher::trusted(self.build.provider.trusted_publisher())
            } else {
                Publisher::maintainer()
            }
        });
        let mut manifest = package_json;
        insert(&mut manifest, "_id", json!(id));
        insert(&mut manifest, "gitHead", json!(self.build.commit));
        insert(&mut manifest, "_nodeVersion", json!("24.11.0"));
        insert(&mut manifest, "_npmVersion", json!("12.0.2"));
        insert(&mut manifest, "_hasShrinkwrap", json!(false));
        insert(&mut manifest, "_npmUser", publisher.npm_user());
        insert(
            &mut manifest,
            "maintainers",
            json!([{"name": "alice", "email": "alice@example.com"}]),
        );
        insert(&mut manifest, "dist", dist);
        manifest
    }
}

/// The chosen key of the registry, and its id.
fn choose(world: &World, choice: RegistryKeyChoice, at: Timestamp) -> (&P256Key, String) {
    static UNKNOWN: OnceLock<P256Key> = OnceLock::new();
    let key = match choice {
        RegistryKeyChoice::InUse => world.registry_key_at(at),
        RegistryKeyChoice::Current => &world.current_registry_key,
        RegistryKeyChoice::Expired => &world.expired_registry_key,
        RegistryKeyChoice::Unknown => {
            let key = UNKNOWN.get_or_init(P256Key::generate);
            return (key, crate::keys::npm_key_id(key.spki()));
        }
    };
    (key.key(), key.key_id().to_owned())
}
