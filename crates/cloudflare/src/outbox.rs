//! The outbox of an account: its events, on their way to the Sequencer.
//!
//! An event is in the store in the transaction of its commit, and stays there until the Sequencer has it. What is newer than the
//! *mark* is sent in order, one delivery at a time, after each write; no answer waits for it. The mark is in memory only: after
//! a start everything that is there is sent again, and the Sequencer ignores what it has.
//!
//! Before anything can be written an alarm is set, so that an object that ends between a commit and its delivery is woken again.
//! The same alarm does the housekeeping.

use crate::alarm::Alarm;
use crate::sequencer_calls;
use rookery_pds::app::App;
use rookery_pds::sequencer::Delivery;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use worker::js_sys::{Date, Uint8Array};
use worker::{Env, Method, Request, RequestInit, State};

/// When the alarm looks after writes. Most often there is nothing left to deliver by then.
const AFTER_WRITES: Duration = Duration::from_secs(30);
/// When it looks again as long as there is something to forget later.
const HOUSEKEEPING: Duration = Duration::from_secs(3_600);
/// How long it waits after a failure: twice as long each time, up to the last.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// Bytes of events in one delivery.
const MOST: usize = 1024 * 1024;

pub(crate) struct Outbox {
    app: Arc<App>,
    env: Env,
    state: Rc<State>,
    alarm: Alarm,
    /// The last event that the Sequencer is known to have.
    mark: Cell<i64>,
    /// True while somebody delivers.
    delivering: Cell<bool>,
    /// True when there may be more since.
    more: Cell<bool>,
    /// How often it has failed since it last went well.
    failures: Cell<u32>,
    /// Until then only the alarm tries again, in milliseconds.
    rests_until: Cell<f64>,
}

impl Outbox {
    pub(crate) fn new(app: Arc<App>, env: Env, state: Rc<State>, alarm: Alarm) -> Rc<Self> {
        Rc::new(Self {
            app,
            env,
            state,
            alarm,
            mark: Cell::new(0),
            delivering: Cell::new(false),
            more: Cell::new(false),
            failures: Cell::new(0),
            rests_until: Cell::new(0.0),
        })
    }

    /// Before something may be written.
    pub(crate) fn expect_write(&self) {
        self.alarm.within(AFTER_WRITES);
    }

    /// Something may have been written: it is delivered while others are served.
    pub(crate) fn nudge(self: &Rc<Self>) {
        if Date::now() >= self.rests_until.get() {
            let outbox = Rc::clone(self);
            self.state.wait_until(async move { outbox.deliver_all().await });
        }
    }

    /// The alarm.
    pub(crate) async fn ring(&self) {
        self.alarm.rings();
        self.deliver_all().await;
        let kept = async {
            self.app.settle_accounts().await?;
            // It may have told something.
            self.deliver_all().await;
            self.app.maintain().await?;
            self.app.has_something_to_forget().await
        };
        match kept.await {
            Ok(true) => self.alarm.within(HOUSEKEEPING),
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(%error, "housekeeping failed; it is tried again");
                self.alarm.within(LONGEST_WAIT);
            }
        }
    }

    /// Delivers until nothing is left. What fails is left to the alarm.
    async fn deliver_all(&self) {
        self.more.set(true);
        if self.delivering.replace(true) {
            return;
        }
        while self.more.replace(false) {
            match self.deliver().await {
                Ok(()) => {
                    self.failures.set(0);
                    self.rests_until.set(0.0);
                }
                Err(problem) => {
                    self.rest(&problem);
                    break;
                }
            }
        }
        self.delivering.set(false);
    }

    fn rest(&self, problem: &str) {
        let failures = self.failures.get();
        self.failures.set(failures.saturating_add(1));
        let wait = FIRST_WAIT.saturating_mul(1 << failures.min(16)).min(LONGEST_WAIT);
        self.rests_until.set(Date::now() + wait.as_secs_f64() * 1_000.0);
        self.alarm.within(wait);
        tracing::warn!(
            failures,
            wait_s = wait.as_secs(),
            problem,
            "events could not be delivered; it is tried again"
        );
    }

    async fn deliver(&self) -> Result<(), String> {
        let before = self.mark.get();
        loop {
            let next = self.app.undelivered(self.mark.get(), MOST).await;
            let Some(delivery) = next.map_err(|error| format!("{error}"))? else { break };
            let Some(last) = delivery.events.last().map(|event| event.seq) else { break };
            let known = self.send(&delivery).await?;
            if known < last {
                return Err(format!(
                    "the Sequencer says that it has events up to {known}, and was given up to {last}"
                ));
            }
            self.mark.set(last);
        }
        if self.mark.get() > before {
            self.app.delivered(self.mark.get()).await.map_err(|error| format!("{error}"))?;
        }
        Ok(())
    }

    /// The last event of the account that the Sequencer has.
    async fn send(&self, delivery: &Delivery) -> Result<i64, String> {
        let sent = async {
            let mut init = RequestInit::new();
            init.with_method(Method::Post);
            init.with_body(Some(Uint8Array::from(delivery.encode().as_slice()).into()));
            let request = Request::new_with_init("https://sequencer/deliver", &init)?;
            // A new one each time: a stub that has failed once goes on failing.
            let sequencer = sequencer_calls::stub(&self.env)?;
            let mut response = sequencer.fetch_with_request(request).await?;
            let text = response.text().await?;
            Ok::<_, worker::Error>((response.status_code(), text))
        };
        match sent.await.map_err(|error| error.to_string())? {
            (200, text) => text.parse().map_err(|_| format!("the Sequencer answered {text:?}")),
            (status, text) => Err(format!("the Sequencer answered with status {status}: {text}")),
        }
    }
}
