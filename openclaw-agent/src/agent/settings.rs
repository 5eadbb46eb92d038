//! What the sensor's thread is told by the configuration.

use anyhow::{Context as _, Result};
use openclaw_detect::Engine;

use crate::config::Config;
use crate::enrich::{Environment, HostFacts, Resolver};
use crate::kernel::layout::Resolved;
use crate::pipeline::{self, LogSettings};
use crate::sensor::RingSizes;

/// The settings of a sensor that nobody remembers when it ends.
pub(super) fn of(
    config: &Config,
    layout: Resolved,
    engine: Engine,
    host: HostFacts,
) -> Result<pipeline::Settings> {
    let sensor = &config.security.sensor;
    Ok(pipeline::Settings {
        layout,
        rings: RingSizes {
            process: sensor.process_ring,
            network: sensor.network_ring,
            file: sensor.file_ring,
        },
        engine,
        host,
        environment: Environment::new(sensor.environment.clone()),
        hash_limit: sensor.hash_limit,
        wake_interval: config.wake_interval(),
        containers: Resolver::start(config.security.containers.clone())
            .context("cannot start the thread for containers")?,
        logs: LogSettings { sources: config.security.sources.clone(), ..LogSettings::default() },
        witness: None,
        all_reads: false,
    })
}
