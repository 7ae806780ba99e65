//! The drain: one thread of each process, which takes captured chunks, asks the gate once more, redacts, seals and stores
//! them, so that none of it is done where the program works for somebody. Whatever goes wrong, nothing is kept, and that
//! something is missing is said with the next records (CN-03).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use zeroize::Zeroize;

use crate::app::App;
use crate::carry;
use crate::clock::{Clock, UtcTime};
use crate::consent::life::EndReason;
use crate::consent::scope::Channel;
use crate::consent::unrecorded::{End, Unrecorded};
use crate::consent::{Grant, grants, stopping};
use crate::db::types::GrantId;
use crate::db::{Database, DbConnection};
use crate::diagnostics::buffers::{Chunk, Counts};
use crate::diagnostics::capture::Capture;
use crate::diagnostics::catalogue::Catalogue;
use crate::diagnostics::record::{Gap, Reason, Record, decode};
use crate::diagnostics::redaction::{Hits, Redacted, Redactor};
use crate::diagnostics::sealing::{GrantKey, KEY_HELD};
use crate::diagnostics::trace_store::{self, Appended, Dropped, NewChunk};
use crate::diagnostics::words;
use crate::error::Result;
use crate::gate::{GATE, Gate, Moment};
use crate::keys::Keys;
use crate::secret::locked;
use crate::worker::threads::stand_back;

/// How long the thread waits between rounds.
const ROUND: Duration = Duration::from_millis(25);
/// The same while nobody is looked at.
const IDLE_ROUND: Duration = Duration::from_millis(200);

/// Starts the thread. It ends, after a last round, when `stop` is cancelled.
pub fn start(app: &Arc<App>, stop: &CancellationToken) -> std::io::Result<JoinHandle<()>> {
    let (app, stop) = (app.clone(), stop.clone());
    carry::thread("trace-drain".to_owned(), move || run(&app, &stop))
}

fn run(app: &App, stop: &CancellationToken) {
    stand_back();
    if let Err(error) = locked::try_it() {
        tracing::warn!(
            target: "accord::worker",
            %error,
            "Keys of captures may be written to the swap space: the limit on locked memory is too low"
        );
    }
    let mut drain: Option<Drain> = None;
    loop {
        let is_last = stop.is_cancelled();
        if let Some(capture) = Capture::find() {
            let drain = drain.get_or_insert_with(|| {
                let ends = app.unrecorded.clone();
                Drain::new(app.database.clone(), app.keys.clone(), app.clock.clone(), capture.catalogue(), ends)
            });
            if catch_unwind(AssertUnwindSafe(|| round(drain, capture))).is_err() {
                drain.forget_keys();
                tracing::error!(target: "accord::worker", "The drain panicked; what it held is lost, going on");
            }
        }
        if is_last {
            return;
        }
        std::thread::sleep(if GATE.live() == 0 { IDLE_ROUND } else { ROUND });
    }
}

fn round(drain: &mut Drain, capture: &Capture) {
    let counted = capture.counts();
    let chunks = capture.drain();
    for grant in drain.round(&GATE, chunks, &counted) {
        // The database knows more than this process: whoever publishes the grants will hear of it, too.
        capture.withdraw(grant.0);
    }
}

/// What the thread holds from one round to the next.
pub struct Drain {
    database: Database,
    keys: Keys,
    clock: Clock,
    catalogue: Catalogue,
    unrecorded: Unrecorded,
    open: HashMap<GrantId, Open>,
    /// What was lost here and is to be said.
    gaps: HashMap<GrantId, Gap>,
    /// What the gate had counted when the database was last told.
    counted: HashMap<GrantId, Dropped>,
}

/// A grant that something was captured for.
struct Open {
    grant: Grant,
    key: Arc<GrantKey>,
    redactor: Redactor,
    opened_at: u64,
}

/// What a chunk came to before it is stored.
enum Prepared {
    Ready(Ready),
    /// The gate is closed to it, for now or for good.
    Late,
    /// The database says that its grant is over.
    Over,
}

/// Records ready to be stored.
struct Ready {
    grant: Grant,
    key: Arc<GrantKey>,
    records: Vec<Redacted>,
    hits: Hits,
    first_at: UtcTime,
    last_at: UtcTime,
    dropped: Dropped,
}

impl Ready {
    fn chunk(&self) -> NewChunk<'_> {
        NewChunk {
            channel: Channel::Server,
            records: &self.records,
            first_at: self.first_at,
            last_at: self.last_at,
            hits: &self.hits,
        }
    }
}

impl Drain {
    pub fn new(database: Database, keys: Keys, clock: Clock, catalogue: Catalogue, unrecorded: Unrecorded) -> Drain {
        let (open, gaps, counted) = (HashMap::new(), HashMap::new(), HashMap::new());
        Drain { database, keys, clock, catalogue, unrecorded, open, gaps, counted }
    }

    /// Wipes the keys it holds.
    pub fn forget_keys(&mut self) {
        self.open.clear();
    }

    /// How many keys it holds.
    pub fn keys_held(&self) -> usize {
        self.open.len()
    }

    /// Stores what may be stored of `chunks`, in one transaction, and what each live grant's `counted` says of what was
    /// dropped before. Gives the grants that turned out to be over.
    pub fn round(&mut self, gate: &Gate, chunks: Vec<Chunk>, counted: &[(i64, Counts, u64)]) -> Vec<GrantId> {
        let live: HashSet<GrantId> = counted.iter().map(|(grant, ..)| GrantId(*grant)).collect();
        self.open.retain(|grant, _| live.contains(grant));
        self.gaps.retain(|grant, _| live.contains(grant));
        self.counted.retain(|grant, _| live.contains(grant));
        let mut over = Vec::new();
        let mut ready: Vec<Ready> = Vec::new();
        let mut dropped = self.newly_dropped(counted);
        for mut chunk in chunks {
            let grant = GrantId(chunk.grant);
            match self.prepare(gate, &chunk) {
                Ok(Prepared::Ready(prepared)) => ready.push(prepared),
                Ok(Prepared::Late) => {
                    dropped.push((grant, Dropped { late: chunk.records.into(), ..Dropped::default() }))
                }
                Ok(Prepared::Over) => over.push(grant),
                Err(error) => {
                    tracing::warn!(target: "accord::worker", ?error, "Captured records could not be kept");
                    self.note_gap(&chunk);
                }
            }
            chunk.bytes.zeroize();
        }
        if (!ready.is_empty() || !dropped.is_empty())
            && let Some(stored) = self.store(ready, dropped)
        {
            over.extend(stored.refused);
            over.extend(stored.reproduced.iter().map(|grant| grant.id));
            for grant in &stored.reproduced {
                self.end_reproduced(grant);
            }
            for (grant, counts, out_of_scope) in counted {
                self.counted.insert(GrantId(*grant), as_dropped(counts, *out_of_scope));
            }
        }
        over.sort();
        over.dedup();
        for grant in &over {
            self.open.remove(grant);
            self.gaps.remove(grant);
        }
        over
    }

    /// The records of a chunk as they may be kept.
    fn prepare(&mut self, gate: &Gate, chunk: &Chunk) -> Result<Prepared> {
        let now = Moment { monotonic_nanos: self.clock.monotonic_nanos(), wall_micros: self.clock.now().micros() };
        if !gate.admits_at(chunk.pass, now) {
            return Ok(Prepared::Late);
        }
        let id = GrantId(chunk.grant);
        self.open.retain(|_, open| now.monotonic_nanos.saturating_sub(open.opened_at) < KEY_HELD.as_nanos() as u64);
        if !self.open.contains_key(&id) {
            let Some(open) = self.open(id, now.monotonic_nanos)? else { return Ok(Prepared::Over) };
            self.open.insert(id, open);
        }
        let decoded = decode(&chunk.bytes, &self.catalogue).map_err(anyhow::Error::new)?;
        let Some(open) = self.open.get(&id) else { return Ok(Prepared::Over) };
        let deadline = i128::from(open.grant.expires_at.micros()) * 1_000;
        let mut ready = Ready {
            grant: open.grant.clone(),
            key: open.key.clone(),
            records: Vec::with_capacity(decoded.len() + 1),
            hits: Hits::default(),
            first_at: UtcTime::from_micros(chunk.first_micros),
            last_at: UtcTime::from_micros(chunk.last_micros),
            dropped: Dropped::default(),
        };
        let gap = self.gaps.remove(&id).map(Record::Gap);
        for record in gap.into_iter().chain(decoded) {
            let stamp = match &record {
                Record::Event(event) => event.at_nanos,
                Record::Span(span) => span.end_nanos,
                Record::Gap(_) => i64::MIN,
            };
            if i128::from(stamp) >= deadline {
                ready.dropped.late += 1;
                continue;
            }
            match open.redactor.redact(Channel::Server, record, &mut ready.hits) {
                Some(redacted) => ready.records.push(redacted),
                None => ready.dropped.out_of_scope += 1,
            }
        }
        Ok(Prepared::Ready(ready))
    }

    /// The grant's terms and its key, as the database has them now.
    fn open(&self, id: GrantId, opened_at: u64) -> Result<Option<Open>> {
        let (keys, clock) = (self.keys.clone(), self.clock.clone());
        let found = self.database.write_now(move |db| {
            let live = grants::live(db, clock.now())?.into_iter().find(|live| live.grant.id == id);
            let Some(live) = live else { return Ok(None) };
            Ok(trace_store::key(db, &keys, id, &clock)?.map(|key| (live, key)))
        })?;
        Ok(found.map(|(live, key)| {
            let redactor = Redactor::new(&live.grant.scope, &live.manifest, key.for_tags());
            Open { grant: live.grant, key: Arc::new(key), redactor, opened_at }
        }))
    }

    /// Ends a grant for which what was looked for was seen. What showed it is kept already; this is a transaction of its own
    /// because of the order of locks (see `consent`), and is noted where it fails.
    fn end_reproduced(&self, grant: &Grant) {
        let (id, clock) = (grant.id, self.clock.clone());
        if let Err(error) = self.database.write_now(move |db| stopping::reproduced(db, id, clock.now())) {
            self.unrecorded.note_instead(End::by_itself(grant, EndReason::Reproduced, self.clock.now()), &error);
        }
    }

    /// One transaction; gives the grants that are over, or nothing when it failed.
    fn store(&mut self, ready: Vec<Ready>, dropped: Vec<(GrantId, Dropped)>) -> Option<Stored> {
        let ready = Arc::new(ready);
        let (clock, batch) = (self.clock.clone(), ready.clone());
        let mut grants: BTreeSet<GrantId> = ready.iter().map(|ready| ready.grant.id).collect();
        grants.extend(dropped.iter().map(|(grant, _)| *grant));
        let stored = self.database.write_now(move |db| {
            trace_store::hold(db, &grants)?;
            for (grant, dropped) in &dropped {
                trace_store::count(db, *grant, dropped, clock.now())?;
            }
            append_all(db, &batch, &clock)
        });
        match stored {
            Ok(stored) => Some(stored),
            Err(error) => {
                tracing::warn!(target: "accord::worker", ?error, "Captured records could not be stored");
                for lost in ready.iter() {
                    let records = lost.records.iter().map(|redacted| match &redacted.record {
                        Record::Gap(gap) => gap.records,
                        _ => 1,
                    });
                    self.add_gap(lost.grant.id, records.sum(), lost.first_at, lost.last_at);
                }
                None
            }
        }
    }

    fn note_gap(&mut self, chunk: &Chunk) {
        let (from, to) = (UtcTime::from_micros(chunk.first_micros), UtcTime::from_micros(chunk.last_micros));
        self.add_gap(GrantId(chunk.grant), u64::from(chunk.records), from, to);
    }

    fn add_gap(&mut self, grant: GrantId, records: u64, from: UtcTime, to: UtcTime) {
        let (from_micros, to_micros) = (from.micros(), to.micros());
        let gap = self.gaps.entry(grant).or_insert(Gap { reason: Reason::Fault, records: 0, from_micros, to_micros });
        gap.records += records;
        gap.from_micros = gap.from_micros.min(from_micros);
        gap.to_micros = gap.to_micros.max(to_micros);
    }

    /// What was dropped since the database was last told.
    fn newly_dropped(&self, counted: &[(i64, Counts, u64)]) -> Vec<(GrantId, Dropped)> {
        let newly = counted.iter().map(|(grant, counts, out_of_scope)| {
            let grant = GrantId(*grant);
            let known = self.counted.get(&grant).copied().unwrap_or_default();
            (grant, as_dropped(counts, *out_of_scope).since(&known))
        });
        newly.filter(|(_, dropped)| *dropped != Dropped::default()).collect()
    }
}

fn as_dropped(counts: &Counts, out_of_scope: u64) -> Dropped {
    let as_number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    Dropped {
        full: as_number(counts.dropped_full),
        budget: as_number(counts.dropped_budget),
        out_of_scope: as_number(out_of_scope),
        late: as_number(counts.late),
    }
}

/// What keeping a batch came to.
#[derive(Default)]
struct Stored {
    /// Over, says the database.
    refused: Vec<GrantId>,
    /// What was looked for was seen.
    reproduced: Vec<Grant>,
}

fn append_all(db: &mut DbConnection, batch: &[Ready], clock: &Clock) -> Result<Stored> {
    let mut stored = Stored::default();
    let mut by_grant: BTreeMap<GrantId, Vec<&Ready>> = BTreeMap::new();
    for ready in batch {
        by_grant.entry(ready.grant.id).or_default().push(ready);
    }
    for (id, of_grant) in by_grant {
        for ready in &of_grant {
            if ready.dropped != Dropped::default() {
                trace_store::count(db, id, &ready.dropped, clock.now())?;
            }
        }
        let Some(grant) = of_grant.first().map(|ready| &ready.grant) else { continue };
        let seen = of_grant.iter().position(|ready| words::are_said(&ready.records, &grant.stop_condition));
        // Nothing after what was looked for is kept.
        let until = seen.map_or(of_grant.len(), |seen| seen + 1);
        let kept = of_grant.iter().take(until).filter(|ready| !ready.records.is_empty());
        let chunks: Vec<NewChunk<'_>> = kept.map(|ready| ready.chunk()).collect();
        let Some(key) = of_grant.first().map(|ready| &ready.key).filter(|_| !chunks.is_empty()) else { continue };
        match trace_store::append(db, grant.organisation_id, id, key, &chunks, clock)? {
            Appended::Refused => stored.refused.push(id),
            Appended::Kept { .. } if seen.is_some() => stored.reproduced.push(grant.clone()),
            Appended::Kept { .. } => {}
        }
    }
    Ok(stored)
}
