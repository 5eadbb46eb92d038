//! Loads the sensor's programs, attaches them, and gives access to what they keep.

use std::io;
use std::time::Duration;

use aya::maps::{Array, HashMap, MapData, PerCpuArray, ProgramArray, RingBuf};
use aya::programs::{Iter, Program};
use aya::{Btf as AyaBtf, BtfError, Ebpf, EbpfLoader, include_bytes_aligned};
use openclaw_common::layout::MISSING;
use openclaw_common::record::{
    Control, FILES_DONE, FILES_MOUNTED, FILES_NOTED, FILES_TRIED, PACKETS_DNS, PACKETS_UDP, READS_ALL,
    READS_NONE, READS_WATCHED, Watch, WatchKey, loss,
};
use openclaw_detect::{EventKind, KindSet};

use super::cgroup::{self, Attached};
use super::hooks::{
    CGROUP_HOOKS, CgroupHook, DROPPED, MODULE_TRACEPOINTS, SYSCALL_EXIT, TAIL_CALLS, TRACEPOINTS, Tracepoint,
};
use super::iterator::Iterator;
use super::losses::Losses;
use super::objects::{self, Objects};
use super::programs::ProgramCost;
use super::{calls, programs, refusals, second, tracepoint};
use crate::capability::{Capability, State};
use crate::kernel::layout::Resolved;

/// How many deeds are remembered where two look at each: see `second.rs` of the programs.
const LOOKED_AT: u32 = 16_384;

static OBJECT: &[u8] = include_bytes_aligned!(env!("OPENCLAW_BPF_SENSOR"));

/// Why the sensor cannot work at all.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The kernel refused the object, or a map of it.
    #[error(
        "the kernel refused the sensor's maps: {0}. The agent needs root, or CAP_BPF, CAP_PERFMON and CAP_SYS_RESOURCE"
    )]
    Object(#[from] Box<aya::EbpfError>),
    /// No hook could be attached.
    #[error("the kernel refused every hook; the first refusal: {0}. `openclaw doctor` shows them all")]
    NoHook(String),
    /// The object is not of this agent's build.
    #[error("the sensor's object lacks {0}: build the agent again with `cargo xtask build`")]
    Incomplete(&'static str),
    /// A map of the kernel cannot be used.
    #[error("the kernel's map {0}: {1}")]
    Map(&'static str, Box<aya::maps::MapError>),
}

/// The rings, to be read by one thread.
pub struct Rings {
    /// Process life and credentials.
    pub process: RingBuf<MapData>,
    /// What goes on in the network.
    pub network: RingBuf<MapData>,
    /// What is done to files.
    pub file: RingBuf<MapData>,
}

/// Sizes of the rings in bytes: powers of two, of whole pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingSizes {
    /// Process life and credentials.
    pub process: u32,
    /// What goes on in the network.
    pub network: u32,
    /// What is done to files.
    pub file: u32,
}

impl Default for RingSizes {
    fn default() -> Self {
        RingSizes { process: 8 << 20, network: 4 << 20, file: 8 << 20 }
    }
}

/// The attached programs. They detach when it is dropped.
#[derive(Debug)]
pub struct Sensor {
    ebpf: Ebpf,
    hooks: Vec<Capability>,
    control: Control,
    /// What of files is seen by the kernel's own objects.
    objects: Objects,
    cgroup: Vec<Attached>,
    processes: Option<Iterator>,
    sockets: Option<Iterator>,
    connections: Option<Iterator>,
    flows: Option<Iterator>,
}

impl Sensor {
    /// Loads the programs with the running kernel's layout and attaches what can be attached. `wake_interval`: how long
    /// after a record for which answers wait the reader of the rings is not woken for another; 4 s at most.
    ///
    /// # Errors
    /// When the maps could not be made. A hook that the kernel refuses is named in [`Sensor::hooks`].
    pub fn load(
        resolved: &Resolved,
        sizes: RingSizes,
        wake_interval: Duration,
    ) -> Result<(Self, Rings), LoadError> {
        let twice = second::is_needed(&resolved.layout);
        let mut ebpf = EbpfLoader::new()
            // Nothing in the programs is relocated by the kernel's types: where fields lie, `LAYOUT` says.
            .btf(None)
            .map_max_entries("PROCESS_RING", sizes.process)
            .map_max_entries("NETWORK_RING", sizes.network)
            .map_max_entries("FILE_RING", sizes.file)
            .map_max_entries("EXEC_SCRATCHES", if twice { 2 } else { 1 })
            .map_max_entries("LOOKED_AT", if twice { LOOKED_AT } else { 1 })
            .override_global(
                "LAYOUT",
                bytemuck::cast_slice::<_, u32>(std::slice::from_ref(&resolved.layout)),
                true,
            )
            .load(OBJECT)
            .map_err(Box::new)?;
        let rings = Rings {
            process: ring(&mut ebpf, "PROCESS_RING")?,
            network: ring(&mut ebpf, "NETWORK_RING")?,
            file: ring(&mut ebpf, "FILE_RING")?,
        };
        let control = Control {
            own: std::process::id(),
            reads: READS_NONE,
            connections: 0,
            // 0, which no process is in, where it cannot be told.
            mnt_ns: crate::mounts::namespace().unwrap_or_default() as u32,
            packets: 0,
            uring: 0,
            files: 0,
            wake_interval: u32::try_from(wake_interval.as_nanos()).unwrap_or(u32::MAX),
        };
        let mut sensor = Sensor {
            ebpf,
            hooks: Vec::new(),
            control,
            objects: Objects::default(),
            cgroup: Vec::new(),
            processes: None,
            sockets: None,
            connections: None,
            flows: None,
        };
        sensor.write_control()?;
        let btf = AyaBtf::from_sys_fs();
        sensor.set_tail_calls(btf.as_ref().ok())?;
        if let Ok(btf) = &btf {
            sensor.objects = objects::attach(&mut sensor.ebpf, &mut sensor.hooks, btf);
        }
        sensor.watch_kinds(KindSet::NONE)?;
        sensor.attach_tracepoints(resolved.layout.drop_no_socket != MISSING, btf.as_ref().ok())?;
        if twice {
            second::attach(&mut sensor.ebpf, &mut sensor.hooks);
        }
        sensor.attach_cgroup_hooks();
        sensor.attach_iterators(&btf);
        Ok((sensor, rings))
    }

    /// Why it sees nothing at all, where the kernel refused every tracepoint.
    pub fn blindness(&self) -> Option<LoadError> {
        // The iterators list what is there; nothing that happens comes from them.
        let is_tracepoint =
            |hook: &&Capability| tracepoints().any(|point| point.capability == hook.capability);
        let mut tracepoints = self.hooks.iter().filter(is_tracepoint);
        if tracepoints.clone().any(|hook| hook.state == State::Attached) {
            return None;
        }
        let refusal = tracepoints.find_map(|hook| hook.reason.clone());
        Some(LoadError::NoHook(refusal.unwrap_or_default()))
    }

    /// What is attached, and what the kernel refused.
    pub fn hooks(&self) -> &[Capability] {
        &self.hooks
    }

    fn set_tail_calls(&mut self, btf: Option<&AyaBtf>) -> Result<(), LoadError> {
        for &(array, index, name) in TAIL_CALLS {
            let program = tracepoint::program(&mut self.ebpf, name)?;
            if let Err(reason) = tracepoint::load_for_tail_call(program, btf) {
                self.hooks.push(Capability::new(name, "tail call", State::Missing).because(reason));
                continue;
            }
            let fd = program.fd().and_then(|fd| Ok(fd.try_clone()?));
            let Ok(fd) = fd else { continue };
            let map = self.ebpf.map_mut(array).ok_or(LoadError::Incomplete(array))?;
            ProgramArray::try_from(map)
                .and_then(|mut programs| programs.set(index, &fd, 0))
                .map_err(|error| LoadError::Map(array, Box::new(error)))?;
        }
        Ok(())
    }

    /// Attaches the tracepoints. `says_why`: the kernel tells with a packet why it is dropped.
    fn attach_tracepoints(&mut self, says_why: bool, btf: Option<&AyaBtf>) -> Result<(), LoadError> {
        for &Tracepoint { program: name, tracepoints, capability } in tracepoints() {
            let program = tracepoint::program(&mut self.ebpf, name)?;
            let (hook, attached) = tracepoint::attach_first(program, tracepoints, btf);
            let attached = match name {
                DROPPED if !says_why => refusals::attach(&mut self.ebpf, btf).map_err(|error| {
                    format!("this kernel does not say why it drops a packet, and {}", describe(&*error))
                }),
                _ => attached.map(|()| hook.clone()),
            };
            let second_best = self.objects.refused.as_ref().filter(|_| name == SYSCALL_EXIT);
            self.hooks.push(match (attached, second_best) {
                (Ok(hook), None) => Capability::new(capability, hook, State::Attached),
                (Ok(hook), Some(refused)) => Capability::new(capability, hook, State::Attached).because(
                    format!("it sees files too, since the kernel refused what sees more: {refused}"),
                ),
                (Err(reason), _) => Capability::new(capability, hook, State::Missing).because(reason),
            });
        }
        Ok(())
    }

    fn attach_cgroup_hooks(&mut self) {
        let root = cgroup::root();
        for CgroupHook { programs, hook, capability } in CGROUP_HOOKS {
            let attached: Result<Vec<_>, _> =
                root.as_ref().map_err(|error| format!("{error:#}")).and_then(|root| {
                    let attach =
                        |(name, kind): &(&'static str, _)| Attached::new(&mut self.ebpf, name, *kind, root);
                    programs.iter().map(attach).collect()
                });
            self.hooks.push(match attached.map(|attached| self.cgroup.extend(attached)) {
                Ok(()) => Capability::new(*capability, *hook, State::Attached),
                Err(reason) => Capability::new(*capability, *hook, State::Missing).because(reason),
            });
        }
    }

    fn attach_iterators(&mut self, btf: &Result<AyaBtf, BtfError>) {
        let mut attach = |program: &str, target: &str, map: Option<&str>, capability: &str| {
            let hook = format!("iter:{target}");
            let attached = match btf {
                Ok(btf) => attach_iterator(&mut self.ebpf, program, target, map, btf),
                Err(error) => Err(describe(error)),
            };
            match attached {
                Ok(iterator) => {
                    self.hooks.push(Capability::new(capability, hook, State::Attached));
                    Some(iterator)
                }
                Err(reason) => {
                    self.hooks.push(Capability::new(capability, hook, State::Missing).because(reason));
                    None
                }
            }
        };
        self.processes = attach("list_processes", "task", None, "processes from before");
        self.sockets = attach("list_sockets", "task_file", None, "connections from before");
        self.connections =
            attach("sample_connections", "bpf_map_elem", Some("CONNECTIONS"), "bytes of open connections");
        self.flows = attach("sample_flows", "bpf_map_elem", Some("UDP_FLOWS"), "bytes of udp flows");
    }

    /// Asks the kernel for these kinds of events; what the process table and the owners of connections rest
    /// on is always asked for.
    ///
    /// # Errors
    /// When the kernel refuses the map's update.
    pub fn watch_kinds(&mut self, kinds: KindSet) -> Result<(), LoadError> {
        let wanted = |kind, bit| if kinds.contains(kind) { bit } else { 0 };
        self.control.packets =
            wanted(EventKind::NetworkConnection, PACKETS_UDP) | wanted(EventKind::DnsQuery, PACKETS_DNS);
        self.control.uring = wanted(EventKind::IoUring, 1);
        self.control.files = wanted(EventKind::FileAccess, FILES_DONE)
            | wanted(EventKind::FileAttempt, FILES_TRIED)
            | wanted(EventKind::MountChange, FILES_MOUNTED)
            | if self.objects.paths { FILES_NOTED } else { 0 };
        let table = calls::table(kinds, !self.objects.opens);
        self.write_control()?;
        let map = self.ebpf.map_mut("CALLS").ok_or(LoadError::Incomplete("CALLS"))?;
        let set = |map: &mut Array<&mut MapData, u64>| {
            (0..).zip(table).try_for_each(|(number, call)| map.set(number, call, 0))
        };
        Array::try_from(map)
            .and_then(|mut map| set(&mut map))
            .map_err(|error| LoadError::Map("CALLS", Box::new(error)))
    }

    /// Asks for reads: none (`Some` of nothing), those of watched paths, or (`None`) all.
    ///
    /// # Errors
    /// When the kernel refuses the map's update.
    pub fn watch_reads(&mut self, watches: Option<&[(WatchKey, Watch)]>) -> Result<(), LoadError> {
        self.control.reads = match watches {
            None => READS_ALL,
            Some([]) => READS_NONE,
            Some(_) => READS_WATCHED,
        };
        let failed = |error| LoadError::Map("WATCHES", Box::new(error));
        let map = self.ebpf.map_mut("WATCHES").ok_or(LoadError::Incomplete("WATCHES"))?;
        let mut map: HashMap<_, KernelKey, KernelWatch> = HashMap::try_from(map).map_err(failed)?;
        let old: Vec<KernelKey> = map.keys().filter_map(Result::ok).collect();
        let new = watches.unwrap_or_default();
        for key in old.iter().filter(|old| !new.iter().any(|(key, _)| *key == old.0)) {
            map.remove(key).map_err(failed)?;
        }
        for (key, watch) in new {
            map.insert(KernelKey(*key), KernelWatch(*watch), 0).map_err(failed)?;
        }
        self.write_control()
    }

    fn write_control(&mut self) -> Result<(), LoadError> {
        let control = KernelControl(self.control);
        let map = self.ebpf.map_mut("CONTROL").ok_or(LoadError::Incomplete("CONTROL"))?;
        Array::try_from(map)
            .and_then(|mut map| map.set(0, control, 0))
            .map_err(|error| LoadError::Map("CONTROL", Box::new(error)))
    }

    /// The processes that are there now, as records one after the other.
    ///
    /// # Errors
    /// When the kernel has no such iterator, or reading it fails.
    pub fn list_processes(&self) -> io::Result<Vec<u8>> {
        let mut records = Vec::new();
        run(self.processes.as_ref(), &mut records)?;
        Ok(records)
    }

    /// Makes the kernel's tables of listening sockets and connections complete, with those that are older than
    /// the sensor or were missed.
    ///
    /// # Errors
    /// When the kernel has no such iterator, or reading it fails.
    pub fn find_connections(&mut self) -> io::Result<()> {
        for pass in [0, 1] {
            self.control.connections = pass;
            self.write_control().map_err(io::Error::other)?;
            run(self.sockets.as_ref(), &mut Vec::new())?;
        }
        Ok(())
    }

    /// Has each open connection and each flow of UDP that carried data since it was last asked report its
    /// bytes, and ends the flows that are over.
    ///
    /// # Errors
    /// When the kernel has no such iterator, or reading it fails.
    pub fn sample_connections(&self) -> io::Result<()> {
        let connections = run(self.connections.as_ref(), &mut Vec::new());
        run(self.flows.as_ref(), &mut Vec::new()).and(connections)
    }

    /// Looks whether somebody has detached programs, and attaches those again. Returns their names, and why it
    /// failed where it did.
    pub fn restore(&mut self) -> Vec<(&'static str, Option<String>)> {
        let mut found = Vec::new();
        let mut lost = Vec::new();
        for attached in &mut self.cgroup {
            if attached.is_detached() {
                let failed = attached.again(&mut self.ebpf).err();
                if failed.is_some() {
                    lost.push(attached.program);
                }
                found.push((attached.program, failed));
            }
        }
        // What cannot be attached again is told once.
        self.cgroup.retain(|attached| !lost.contains(&attached.program));
        for hook in CGROUP_HOOKS {
            let is_blind = hook.programs.iter().any(|(name, _)| lost.contains(name));
            for known in self.hooks.iter_mut().filter(|known| is_blind && known.hook == hook.hook) {
                known.state = State::Missing;
                known.reason = Some("somebody has detached it".to_owned());
            }
        }
        found
    }

    /// A map that tells of the signal that ends the agent.
    pub(super) fn ended_by(&self) -> Option<&MapData> {
        match self.ebpf.map("ENDED_BY")? {
            aya::maps::Map::Array(map) => Some(map),
            _ => None,
        }
    }

    /// Detaches everything that observes. What the rings hold can still be read.
    pub fn detach(&mut self) {
        for &Tracepoint { program, .. } in tracepoints() {
            // The program closes with its links.
            tracepoint::detach(&mut self.ebpf, program);
        }
        second::detach(&mut self.ebpf);
        self.cgroup.clear();
        objects::detach(&mut self.ebpf);
    }

    /// The capabilities of probes that have fired, where tracepoints are watched beside.
    pub fn fired(&self) -> Vec<&'static str> {
        second::fired(&self.ebpf)
    }

    /// What was lost, or left out, and what the programs that were loaded have cost, by their names.
    pub fn figures(&self) -> (Losses, Vec<ProgramCost>) {
        let (mut losses, mut costs) = (Losses::default(), Vec::new());
        if let Some(map) = self.ebpf.map("LOSSES")
            && let Ok(counters) = PerCpuArray::<_, u64>::try_from(map)
        {
            for (index, count) in (0..loss::COUNT).zip(&mut losses.kernel) {
                *count = counters.get(&index, 0).map_or(0, |each| each.iter().sum());
            }
        }
        for (name, program) in self.ebpf.programs() {
            let Ok(cost) = programs::cost(name, program) else { continue };
            if objects::sees_files(name, program) {
                losses.missed_file_runs += cost.skipped;
            } else if name == SYSCALL_EXIT {
                losses.missed_call_runs += cost.skipped;
            } else if !second::is_second(name) {
                losses.missed_runs += cost.skipped;
            }
            costs.push(cost);
        }
        losses.missed_runs = losses.missed_runs.saturating_sub(second::made_good(&self.ebpf));
        costs.sort_by(|a, b| a.name.cmp(&b.name));
        (losses, costs)
    }
}

/// The tracepoints that this kernel has something to tell by.
fn tracepoints() -> impl std::iter::Iterator<Item = &'static Tracepoint> {
    let has_modules = std::path::Path::new("/proc/modules").exists();
    TRACEPOINTS.iter().chain(MODULE_TRACEPOINTS.iter().filter(move |_| has_modules))
}

fn ring(ebpf: &mut Ebpf, name: &'static str) -> Result<RingBuf<MapData>, LoadError> {
    let map = ebpf.take_map(name).ok_or(LoadError::Incomplete(name))?;
    RingBuf::try_from(map).map_err(|error| LoadError::Map(name, Box::new(error)))
}

fn attach_iterator(
    ebpf: &mut Ebpf,
    name: &str,
    target: &str,
    map: Option<&str>,
    btf: &AyaBtf,
) -> Result<Iterator, String> {
    let program: Option<&mut Program> = ebpf.program_mut(name);
    let program: &mut Iter =
        program.and_then(|program| program.try_into().ok()).ok_or("the object lacks it")?;
    program.load(target, btf).map_err(|error| describe(&error))?;
    let fd = program.fd().and_then(|fd| Ok(fd.try_clone()?)).map_err(|error| describe(&error))?;
    let map = match map {
        Some(map) => match ebpf.map(map) {
            Some(aya::maps::Map::HashMap(data)) => Some(data.fd()),
            _ => return Err("the object lacks its map".into()),
        },
        None => None,
    };
    use std::os::fd::AsFd;
    Iterator::attach(fd.as_fd(), map.map(AsFd::as_fd)).map_err(|error| error.to_string())
}

fn run(iterator: Option<&Iterator>, output: &mut Vec<u8>) -> io::Result<()> {
    iterator.ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))?.run(output)
}

/// An error with its causes, in one line; of the verifier's log the last line, which says what it refused.
pub(super) fn describe(error: &dyn std::error::Error) -> String {
    let text = error.to_string();
    // What aya says before the verifier's log, also where there is none.
    let text = text.trim_end();
    let mut text = text.strip_suffix(" Verifier output:").unwrap_or(text).trim_end_matches('.').to_owned();
    let mut cause = error.source();
    while let Some(error) = cause {
        let told = error.to_string();
        if !text.contains(&told) {
            text = format!("{text}: {told}");
        }
        cause = error.source();
    }
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    match lines[..] {
        [] => String::new(),
        [one] => one.into(),
        [first, .., last] => format!("{first} … {last}"),
    }
}

macro_rules! kernel_type {
    ($($name:ident($of:ty);)*) => {
        $(
            #[repr(transparent)]
            #[derive(Clone, Copy)]
            struct $name($of);

            // SAFETY: `repr(C)` numbers without padding, as `bytemuck::Pod` has checked of the inner type.
            unsafe impl aya::Pod for $name {}
        )*
    };
}

kernel_type! {
    KernelControl(Control);
    KernelKey(WatchKey);
    KernelWatch(Watch);
}
