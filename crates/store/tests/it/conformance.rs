//! Every store against the whole suite: each case is a test of its own on a fresh store, and so are random operations
//! and random batches side by side with the model.
//!
//! A case that stands in `cases()` and not in the list here fails [`the_list_names_every_case`].

use ordermill_core::change::Change;
use ordermill_store::clock::StoreClock;
use ordermill_store::conformance::{Subject, cases, model};
use ordermill_store::memory::MemoryStore;
use ordermill_store::{CommitError, Store};
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use std::fmt::Debug;
use std::sync::Arc;
use tokio::runtime::Runtime;

/// Runs one case by its name.
async fn run(name: &str, subject: &dyn Subject) {
    let (_, case) = cases().iter().find(|(known, _)| *known == name).expect("a case of the suite");
    case(subject).await;
}

/// Runs a property on this many random inputs, each on a fresh store, and shrinks the first one that fails.
fn property<T: Debug, S: Subject>(
    cases: u32,
    inputs: &impl Strategy<Value = T>,
    fresh: &impl AsyncFn() -> S,
    check: &impl AsyncFn(&dyn Subject, T) -> Result<(), String>,
) {
    let runtime = Runtime::new().expect("a runtime");
    // A failure is told with its whole input, which is what a test of its own is written from.
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 600, ..Config::default() };
    let result = TestRunner::new(config).run(inputs, |input| {
        let outcome = runtime.block_on(async { check(&fresh().await, input).await });
        outcome.map_err(TestCaseError::fail)
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
}

/// The two properties, on so many inputs of each.
macro_rules! properties {
    ($fresh:path: $scripts:literal and $batches:literal) => {
        #[test]
        fn any_script_runs_as_on_the_model() {
            let check = async |subject: &dyn super::Subject, script: Vec<super::model::Op>| super::model::compare(subject, &script).await;
            crate::conformance::property($scripts, &super::model::scripts(), &$fresh, &check);
        }

        #[test]
        fn any_batch_is_as_good_as_one_by_one_on_the_model() {
            type Batch = (Vec<super::model::Write>, Vec<super::model::Write>);
            let check =
                async |subject: &dyn super::Subject, (setup, batch): Batch| super::model::compare_batch(subject, &setup, &batch).await;
            crate::conformance::property($batches, &super::model::batches(), &$fresh, &check);
        }
    };
}

/// One test per name, on the subject that `$fresh` makes.
macro_rules! tests {
    ($fresh:path: $($name:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $name() {
            crate::conformance::run(stringify!($name), &$fresh().await).await;
        }
    )*};
}

/// Gives the list of all cases to a macro, after whatever else that one takes.
macro_rules! every_case {
    ($then:ident $($before:tt)*) => {
        $then! { $($before)*
            a_change_is_written_whole
            one_failed_guard_leaves_nothing_behind
            every_failed_guard_is_named_in_the_order_of_the_change
            a_guard_may_stand_alone
            a_replayed_change_finds_itself
            a_replay_after_its_jobs_ran_queues_nothing
            a_replay_after_a_rival_wrote_tells_who_wrote_last
            the_loser_of_an_idempotency_key_gets_the_row_of_the_winner
            the_creator_of_a_row_stays_while_its_last_change_moves
            two_orders_never_share_a_number
            two_products_never_share_a_sku_or_a_page
            products_without_a_page_do_not_collide
            two_accounts_never_share_an_address
            two_api_keys_never_share_a_secret
            a_customer_has_one_cart
            a_money_object_belongs_to_one_order
            keys_differ_by_every_byte
            a_row_is_found_by_each_of_its_keys
            a_replaced_row_keeps_its_unique_values
            every_row_that_changes_is_replaced_whole
            a_stale_version_loses
            a_missing_row_has_no_version
            a_deleted_row_is_gone_and_its_key_free
            a_stale_delete_loses
            an_order_is_found_by_id_number_and_reference
            an_order_comes_back_as_it_was_written
            events_come_in_the_order_of_their_numbers
            two_edits_of_one_version_never_both_win
            a_payment_books_money_moves_goods_and_queues_mail_in_one_change
            bookings_are_kept_by_cause_and_leg
            due_orders_are_unpaid_ones_whose_time_ran_out
            stock_never_falls_below_zero
            unknown_goods_have_no_stock
            every_short_sku_is_named_with_its_level
            only_changes_of_what_is_in_the_house_leave_a_movement
            stock_is_summed_over_places_in_the_order_asked
            changes_of_one_batch_take_stock_in_order_of_arrival
            a_refused_change_of_a_batch_takes_nothing
            overlapping_changes_of_one_batch_keep_their_order
            a_batch_is_as_good_as_one_by_one
            concurrent_orders_never_sell_more_than_there_is
            jobs_are_claimed_longest_due_first_then_by_key
            a_claim_takes_at_most_its_limit
            the_attempt_counts_up_at_the_claim
            a_leased_job_is_not_claimed_again
            a_lost_lease_counts_and_stays_in_the_history
            a_delayed_job_waits
            a_job_of_another_queue_stays
            a_job_named_by_its_owner_is_claimed_at_once
            a_job_named_twice_is_claimed_once
            the_same_job_is_never_queued_twice
            extending_keeps_the_lease_of_its_holder_only
            an_ordered_job_waits_for_lower_numbers
            ordered_groups_do_not_wait_for_each_other
            a_dead_head_releases_its_group
            a_redriven_old_job_runs_late_and_holds_its_group_again
            a_done_job_is_gone
            a_counted_failure_waits_and_counts
            an_uncounted_failure_never_exhausts_a_job
            a_zombie_cannot_finish
            a_lease_that_ran_out_cannot_finish_even_if_nobody_else_claimed
            a_finish_and_its_effects_are_one
            a_job_that_gives_up_becomes_a_dead_letter
            a_lease_lost_at_the_last_attempt_ends_in_the_dead_letters
            a_job_at_its_last_counted_failure_is_swept_up
            a_long_history_keeps_its_first_and_latest_failures
            a_redrive_keeps_the_key_and_never_reuses_an_attempt
            of_two_redrives_one_wins
            a_redrive_of_another_death_loses
            a_dead_letter_can_be_discarded
            a_guarded_lease_without_a_finish_only_checks
            a_paused_queue_gives_nothing_until_it_is_resumed
            a_pause_does_not_stop_a_running_job
            an_open_circuit_gives_nothing_until_its_time_is_over
            a_half_open_circuit_gives_one_job_at_a_time
            a_closed_circuit_gives_everything_again
            a_circuit_belongs_to_one_queue
            queues_tell_what_they_hold
            orders_are_listed_newest_first
            orders_are_filtered_by_every_dimension
            a_rare_second_filter_finds_everything_in_the_end
            orders_are_found_by_the_time_they_were_placed
            orders_are_found_by_a_part_of_a_text
            a_rare_text_is_found_in_the_end
            users_are_listed_newest_first
            api_keys_are_listed_newest_first
            the_audit_trail_is_listed_latest_first
            inbox_entries_are_listed_newest_first
            jobs_are_listed_as_they_become_due
            dead_letters_are_listed_latest_death_first
            a_dead_letter_is_found_by_its_key
            dead_letters_are_found_by_a_part_of_why
            a_rare_cause_of_death_is_found_in_the_end
            a_cursor_from_elsewhere_is_refused
            any_limit_is_taken
            the_catalogue_is_sorted_by_sku
            the_catalogue_is_only_sent_when_it_changed
            a_session_comes_with_its_account
            a_session_ends_by_the_clock_of_the_store
            an_unguarded_write_is_refused
            versions_must_follow
            events_must_follow
            nothing_may_be_named_twice
            amounts_must_say_something
            a_finish_needs_its_own_lease_guard
            a_change_has_at_most_so_many_actions
            a_change_has_at_most_so_many_bytes
            a_key_has_at_most_so_many_bytes
            a_refused_change_spoils_nobody_elses
            number_blocks_are_disjoint
            a_sweep_forgets_what_has_served_its_time
            a_sweep_forgets_tokens_and_failed_log_ins_after_a_day
            a_sweep_of_many_rows_finishes
            a_scan_returns_what_was_written
            a_scan_is_paged_without_gaps_or_repeats
            a_scan_comes_in_the_order_of_keys
            a_scan_goes_on_while_rows_come_and_go
            a_fresh_store_is_healthy_and_empty
            migrating_again_changes_nothing
            waiting_ends_with_work_or_with_time
            a_closed_store_says_so
            texts_come_back_byte_by_byte
            of_many_rivals_for_one_key_exactly_one_wins
            of_many_edits_of_one_version_exactly_one_wins
            copies_of_one_change_are_applied_once
            concurrent_claimers_never_share_an_attempt
            concurrent_number_blocks_are_disjoint
            one_poisoned_change_does_not_stop_the_others
        }
    };
}

macro_rules! names {
    ($($name:ident)*) => {
        [$(stringify!($name)),*]
    };
}

#[test]
fn the_list_names_every_case() {
    let mut listed = every_case!(names).to_vec();
    let mut known: Vec<&str> = cases().iter().map(|(name, _)| *name).collect();
    listed.sort_unstable();
    known.sort_unstable();
    assert_eq!(listed, known);
}

mod memory {
    use super::{Arc, Change, CommitError, MemoryStore, Store, StoreClock, Subject};

    pub(super) struct Memory {
        store: Arc<MemoryStore>,
        clock: StoreClock,
    }

    pub(super) async fn fresh() -> Memory {
        let clock = StoreClock::start();
        Memory { store: Arc::new(MemoryStore::with_clock(clock.clone())), clock }
    }

    #[async_trait::async_trait]
    impl Subject for Memory {
        fn store(&self) -> &dyn Store {
            &*self.store
        }

        fn shared(&self) -> Arc<dyn Store> {
            Arc::<MemoryStore>::clone(&self.store)
        }

        fn advance_ms(&self, ms: i64) {
            self.clock.advance_ms(ms);
        }

        async fn commit_together(&self, changes: Vec<Arc<Change>>) -> Vec<Result<(), CommitError>> {
            self.store.commit_together(changes)
        }
    }

    every_case!(tests fresh:);
    properties!(fresh: 100 and 100);
}

/// A wrapper that injects nothing must not be noticed.
mod faulty {
    use super::{Arc, Change, CommitError, MemoryStore, Store, StoreClock, Subject};
    use ordermill_store::faulty::FaultyStore;

    pub(super) struct Faultless {
        store: Arc<FaultyStore>,
        inner: Arc<MemoryStore>,
    }

    pub(super) async fn fresh() -> Faultless {
        let inner = Arc::new(MemoryStore::with_clock(StoreClock::start()));
        Faultless { store: Arc::new(FaultyStore::new(Arc::<MemoryStore>::clone(&inner), 0)), inner }
    }

    #[async_trait::async_trait]
    impl Subject for Faultless {
        fn store(&self) -> &dyn Store {
            &*self.store
        }

        fn shared(&self) -> Arc<dyn Store> {
            Arc::<FaultyStore>::clone(&self.store)
        }

        fn advance_ms(&self, ms: i64) {
            self.inner.clock().advance_ms(ms);
        }

        async fn commit_together(&self, changes: Vec<Arc<Change>>) -> Vec<Result<(), CommitError>> {
            self.inner.commit_together(changes)
        }
    }

    every_case!(tests fresh:);
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use super::{Arc, Change, CommitError, Store, StoreClock, Subject};
    use crate::sqlite::Folder;
    use ordermill_store::sqlite::SqliteStore;

    pub(super) struct Sqlite {
        store: Arc<SqliteStore>,
        clock: StoreClock,
        // Dropped last: the store still writes while it closes.
        _folder: Folder,
    }

    pub(super) async fn fresh() -> Sqlite {
        let (folder, clock) = (Folder::new(), StoreClock::start());
        let store = SqliteStore::open_with_clock(&folder.database(), clock.clone()).await.expect("a store");
        store.migrate().await.expect("migrations");
        Sqlite { store: Arc::new(store), clock, _folder: folder }
    }

    #[async_trait::async_trait]
    impl Subject for Sqlite {
        fn store(&self) -> &dyn Store {
            &*self.store
        }

        fn shared(&self) -> Arc<dyn Store> {
            Arc::<SqliteStore>::clone(&self.store)
        }

        fn advance_ms(&self, ms: i64) {
            self.clock.advance_ms(ms);
        }

        async fn commit_together(&self, changes: Vec<Arc<Change>>) -> Vec<Result<(), CommitError>> {
            self.store.commit_together(changes).await
        }
    }

    every_case!(tests fresh:);
    properties!(fresh: 24 and 24);
}

#[cfg(feature = "postgres")]
mod postgres {
    use super::{Arc, Change, CommitError, Store, Subject};
    use ordermill_store::postgres::PostgresStore;

    pub(super) struct Postgres {
        store: Arc<PostgresStore>,
    }

    pub(super) async fn fresh() -> Postgres {
        Postgres { store: Arc::new(crate::postgres::fresh().await) }
    }

    #[async_trait::async_trait]
    impl Subject for Postgres {
        fn store(&self) -> &dyn Store {
            &*self.store
        }

        fn shared(&self) -> Arc<dyn Store> {
            Arc::<PostgresStore>::clone(&self.store)
        }

        fn advance_ms(&self, ms: i64) {
            self.store.advance_ms(ms);
        }

        async fn commit_together(&self, changes: Vec<Arc<Change>>) -> Vec<Result<(), CommitError>> {
            self.store.commit_together(changes).await
        }
    }

    every_case!(tests fresh:);
    properties!(fresh: 16 and 16);
}
