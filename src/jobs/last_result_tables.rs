//! What the ledger does with the last results of clients and policies as time goes on.

use super::last_results::{AHEAD, Answer, LastResults, Question, Subject};
use super::ledger::Ledger;

impl Ledger {
    /// Returns the names of which the server is to be asked for their newest successful backup, so many
    /// at most. Clients and policies take turns.
    pub fn to_look_up(&mut self, most: usize) -> Vec<Question> {
        let mut queues: Vec<_> =
            self.last_results.iter_mut().map(|table| table.to_look_up(most).into_iter()).collect();
        let mut questions = Vec::new();
        while questions.len() < most {
            let before = questions.len();
            questions.extend(queues.iter_mut().filter_map(Iterator::next));
            if questions.len() == before {
                break;
            }
        }
        questions.truncate(most);
        questions
    }

    /// Takes the server's answer for a name.
    pub fn looked_up(&mut self, subject: Subject, name: &str, answer: Answer) {
        if let Some(table) = self.last_results_mut(subject) {
            table.looked_up(name, answer);
        }
    }

    /// The server could not be asked for a name: others go first.
    pub fn look_up_failed(&mut self, subject: Subject, name: &str) {
        if let Some(table) = self.last_results_mut(subject) {
            table.look_up_failed(name);
        }
    }

    /// Moves the last results from the time `last` to the present: jobs that lay in the future before
    /// count now; after a clock that was set back, those that lie there now count no more.
    pub(super) fn advance_last_results(&mut self, last: i64, set_back: bool) {
        let now = self.position.now;
        let mut tables = std::mem::take(&mut self.last_results);
        for table in &mut tables {
            table.set_now(now);
            if set_back {
                if table.drop_future() {
                    self.refill_table(table, i64::MIN / 2);
                }
            } else {
                self.refill_table(table, last.saturating_add(AHEAD));
            }
        }
        self.last_results = tables;
    }

    /// Gives a table the jobs that ended after `after`.
    fn refill_table(&self, table: &mut LastResults, after: i64) {
        let until = self.position.now.saturating_add(AHEAD);
        if after < until {
            let jobs = self.finished.ended(after, until);
            table.refill(jobs.filter_map(|job| self.completion(job)));
        }
    }
}
