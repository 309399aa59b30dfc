//! What every store must do, as plain async functions: one behaviour each, named after it.
//!
//! A store's test binary runs every case of [`cases`] on a fresh, empty store ([`Subject`]), and [`model`] on top: random
//! operation lists side by side with the memory model. A difference between stores is a declared capability, never a
//! skip. A failed case panics. This module must not name a backend.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests, compiled by the feature `test-support` only")]

pub mod fixture;

mod catalogue;
mod claiming;
mod commit;
mod concurrency;
mod finishing;
mod limits;
mod lists;
mod maintenance;
pub mod model;
mod orders;
mod queues;
mod stock;
mod uniqueness;

use crate::{CommitError, Store};
use async_trait::async_trait;
use ordermill_core::change::Change;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// A fresh, empty, migrated store that a case may do anything with.
#[async_trait]
pub trait Subject: Send + Sync {
    /// The store.
    fn store(&self) -> &dyn Store;
    /// The store, to be shared by tasks.
    fn shared(&self) -> Arc<dyn Store>;
    /// Moves the store's clock ahead.
    fn advance_ms(&self, ms: i64);
    /// Commits changes that arrive at the same moment, in the batches that every store would make of them.
    async fn commit_together(&self, changes: Vec<Arc<Change>>) -> Vec<Result<(), CommitError>>;
}

/// A running case.
pub type CaseRun<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;
/// A case.
pub type CaseFn = for<'a> fn(&'a dyn Subject) -> CaseRun<'a>;

/// Names every case once; the test of that name in a store's binary runs it.
macro_rules! cases {
    ($($module:ident :: { $($name:ident,)* })*) => {
        &[$($((stringify!($name), |subject| Box::pin($module::$name(subject))),)*)*]
    };
}

/// Every case with its name.
pub fn cases() -> &'static [(&'static str, CaseFn)] {
    CASES
}

const CASES: &[(&str, CaseFn)] = cases! {
    commit::{
        a_change_is_written_whole,
        one_failed_guard_leaves_nothing_behind,
        every_failed_guard_is_named_in_the_order_of_the_change,
        a_guard_may_stand_alone,
        a_replayed_change_finds_itself,
        a_replay_after_its_jobs_ran_queues_nothing,
        a_replay_after_a_rival_wrote_tells_who_wrote_last,
        the_loser_of_an_idempotency_key_gets_the_row_of_the_winner,
        the_creator_of_a_row_stays_while_its_last_change_moves,
    }
    uniqueness::{
        two_orders_never_share_a_number,
        two_products_never_share_a_sku_or_a_page,
        products_without_a_page_do_not_collide,
        two_accounts_never_share_an_address,
        two_api_keys_never_share_a_secret,
        a_customer_has_one_cart,
        a_money_object_belongs_to_one_order,
        keys_differ_by_every_byte,
        a_row_is_found_by_each_of_its_keys,
        a_replaced_row_keeps_its_unique_values,
        every_row_that_changes_is_replaced_whole,
        a_stale_version_loses,
        a_missing_row_has_no_version,
        a_deleted_row_is_gone_and_its_key_free,
        a_stale_delete_loses,
    }
    orders::{
        an_order_is_found_by_id_number_and_reference,
        an_order_comes_back_as_it_was_written,
        events_come_in_the_order_of_their_numbers,
        two_edits_of_one_version_never_both_win,
        a_payment_books_money_moves_goods_and_queues_mail_in_one_change,
        bookings_are_kept_by_cause_and_leg,
        due_orders_are_unpaid_ones_whose_time_ran_out,
    }
    stock::{
        stock_never_falls_below_zero,
        unknown_goods_have_no_stock,
        every_short_sku_is_named_with_its_level,
        only_changes_of_what_is_in_the_house_leave_a_movement,
        stock_is_summed_over_places_in_the_order_asked,
        changes_of_one_batch_take_stock_in_order_of_arrival,
        a_refused_change_of_a_batch_takes_nothing,
        overlapping_changes_of_one_batch_keep_their_order,
        a_batch_is_as_good_as_one_by_one,
        concurrent_orders_never_sell_more_than_there_is,
    }
    claiming::{
        jobs_are_claimed_longest_due_first_then_by_key,
        a_claim_takes_at_most_its_limit,
        the_attempt_counts_up_at_the_claim,
        a_leased_job_is_not_claimed_again,
        a_lost_lease_counts_and_stays_in_the_history,
        a_delayed_job_waits,
        a_job_of_another_queue_stays,
        a_job_named_by_its_owner_is_claimed_at_once,
        a_job_named_twice_is_claimed_once,
        the_same_job_is_never_queued_twice,
        extending_keeps_the_lease_of_its_holder_only,
        an_ordered_job_waits_for_lower_numbers,
        ordered_groups_do_not_wait_for_each_other,
        a_dead_head_releases_its_group,
        a_redriven_old_job_runs_late_and_holds_its_group_again,
    }
    finishing::{
        a_done_job_is_gone,
        a_counted_failure_waits_and_counts,
        an_uncounted_failure_never_exhausts_a_job,
        a_zombie_cannot_finish,
        a_lease_that_ran_out_cannot_finish_even_if_nobody_else_claimed,
        a_finish_and_its_effects_are_one,
        a_job_that_gives_up_becomes_a_dead_letter,
        a_lease_lost_at_the_last_attempt_ends_in_the_dead_letters,
        a_job_at_its_last_counted_failure_is_swept_up,
        a_long_history_keeps_its_first_and_latest_failures,
        a_redrive_keeps_the_key_and_never_reuses_an_attempt,
        of_two_redrives_one_wins,
        a_redrive_of_another_death_loses,
        a_dead_letter_can_be_discarded,
        a_guarded_lease_without_a_finish_only_checks,
    }
    queues::{
        a_paused_queue_gives_nothing_until_it_is_resumed,
        a_pause_does_not_stop_a_running_job,
        an_open_circuit_gives_nothing_until_its_time_is_over,
        a_half_open_circuit_gives_one_job_at_a_time,
        a_closed_circuit_gives_everything_again,
        a_circuit_belongs_to_one_queue,
        queues_tell_what_they_hold,
    }
    lists::{
        orders_are_listed_newest_first,
        orders_are_filtered_by_every_dimension,
        a_rare_second_filter_finds_everything_in_the_end,
        orders_are_found_by_the_time_they_were_placed,
        orders_are_found_by_a_part_of_a_text,
        a_rare_text_is_found_in_the_end,
        users_are_listed_newest_first,
        api_keys_are_listed_newest_first,
        the_audit_trail_is_listed_latest_first,
        inbox_entries_are_listed_newest_first,
        jobs_are_listed_as_they_become_due,
        dead_letters_are_listed_latest_death_first,
        a_dead_letter_is_found_by_its_key,
        dead_letters_are_found_by_a_part_of_why,
        a_rare_cause_of_death_is_found_in_the_end,
        a_cursor_from_elsewhere_is_refused,
        any_limit_is_taken,
    }
    catalogue::{
        the_catalogue_is_sorted_by_sku,
        the_catalogue_is_only_sent_when_it_changed,
        a_session_comes_with_its_account,
        a_session_ends_by_the_clock_of_the_store,
    }
    limits::{
        an_unguarded_write_is_refused,
        versions_must_follow,
        events_must_follow,
        nothing_may_be_named_twice,
        amounts_must_say_something,
        a_finish_needs_its_own_lease_guard,
        a_change_has_at_most_so_many_actions,
        a_change_has_at_most_so_many_bytes,
        a_key_has_at_most_so_many_bytes,
        a_refused_change_spoils_nobody_elses,
    }
    maintenance::{
        number_blocks_are_disjoint,
        a_sweep_forgets_what_has_served_its_time,
        a_sweep_forgets_tokens_and_failed_log_ins_after_a_day,
        a_sweep_of_many_rows_finishes,
        a_scan_returns_what_was_written,
        a_scan_is_paged_without_gaps_or_repeats,
        a_scan_comes_in_the_order_of_keys,
        a_scan_goes_on_while_rows_come_and_go,
        a_fresh_store_is_healthy_and_empty,
        migrating_again_changes_nothing,
        waiting_ends_with_work_or_with_time,
        a_closed_store_says_so,
        texts_come_back_byte_by_byte,
    }
    concurrency::{
        of_many_rivals_for_one_key_exactly_one_wins,
        of_many_edits_of_one_version_exactly_one_wins,
        copies_of_one_change_are_applied_once,
        concurrent_claimers_never_share_an_attempt,
        concurrent_number_blocks_are_disjoint,
        one_poisoned_change_does_not_stop_the_others,
    }
};
