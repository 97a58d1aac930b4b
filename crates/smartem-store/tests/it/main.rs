//! The contract of a store: a suite over its public interface, run on each backend.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod alike;
mod changes;
mod copy;
mod crash;
mod declare;
mod defects;
mod intake;
mod last;
mod location;
mod opening;
mod operating;
mod order;
mod postgres;
mod query;
mod refining;
mod retention;
mod servers;
mod sta_alike;
mod sta_crash;
mod sta_data;
mod sta_keep;
mod sta_model;
mod sta_read;
mod sta_support;
mod sta_write;
mod standing;
mod support;
mod tokens;
mod views;

/// Runs cases on each backend: functions that are given an empty store, and such as make stores of a kind
/// themselves.
macro_rules! suite {
    (@of $name:ident $on:ident {
        given { $($module:ident { $($case:ident,)+ })* }
        make { $($maker:ident { $($made:ident,)+ })* }
    }) => {
        mod $name {
            $(mod $module {
                use crate::servers::{On, World};
                $(#[tokio::test]
                async fn $case() {
                    let world = World::on(On::$on).await;
                    crate::$module::$case(world.store.clone()).await;
                })+
            })*
            $(mod $maker {
                use crate::servers::On;
                $(#[tokio::test]
                async fn $made() {
                    crate::$maker::$made(On::$on).await;
                })+
            })*
        }
    };
    // Without PgBouncer, to save time: for what does not depend on it.
    (direct { $($cases:tt)+ }) => {
        suite! { @of sta_sqlite Sqlite { $($cases)+ } }
        suite! { @of sta_on_postgres Postgres { $($cases)+ } }
    };
    ($($cases:tt)+) => {
        suite! { @of sqlite Sqlite { $($cases)+ } }
        suite! { @of on_postgres Postgres { $($cases)+ } }
        suite! { @of through_pgbouncer PgBouncer { $($cases)+ } }
    };
}

suite! {
    given {
        defects {
            d_041_refining_again_makes_no_duplicates,
            d_043_an_hour_that_grew_is_refined_again_with_those_after_it,
        }
        intake {
            an_unchanged_record_is_no_work,
            a_changed_record_is_work_again,
            a_record_comes_back_as_it_was_sent,
            checkpoints_are_those_of_the_process_and_source,
            a_snapshot_among_hours_is_refused_and_nothing_is_taken_in,
            a_body_in_quarantine_is_kept_whole_until_a_good_record_comes,
            a_station_has_the_type_of_its_newest_hour,
        }
        declare {
            a_station_is_known_before_its_first_record,
            a_declared_location_holds_until_two_hours_say_otherwise,
            another_location_marks_the_hours_that_relied_on_it,
            another_cadence_marks_all_hours_and_the_same_one_none,
            what_is_not_said_stays,
            a_type_that_the_records_do_not_have_is_refused,
            a_declared_location_does_not_depend_on_when_it_was_declared,
        }
        last {
            the_newest_snapshot_stays,
            an_hour_and_a_snapshot_compete_for_the_last_value,
            a_new_station_is_shown_where_its_snapshot_is,
            observations_of_another_station_are_refused,
        }
        location {
            a_station_moves_when_two_hours_say_so,
            an_hour_without_a_fix_is_refined_again_when_the_station_is_known,
            a_location_does_not_hear_its_own_altitude,
        }
        operating {
            runs_and_counters_are_told,
            the_newest_success_is_told_however_long_ago_it_was,
            the_backlog_counts,
            a_whole_store_has_no_problems,
            a_lock_is_held_by_one,
            a_cadence_makes_all_hours_work_again,
        }
        query {
            pages_hold_each_observation_once,
            a_window_takes_what_overlaps_it,
            without_a_window_the_newest_are_given,
            a_cursor_is_a_text,
            an_unknown_station_has_nothing,
        }
        refining {
            work_is_a_run_of_dirty_hours,
            an_hour_is_replaced_as_a_whole,
            a_late_hour_is_refined_with_those_after_it,
            refining_stops_where_the_state_is_the_old_one,
            a_result_from_older_input_is_not_taken,
            another_state_meanwhile_makes_a_result_stale,
            another_location_meanwhile_makes_a_result_stale,
            hours_can_be_asked_to_be_refined_again,
            an_unknown_station_to_be_refined_again_is_told_and_nothing_is_marked,
            an_hour_in_the_middle_takes_the_state_of_the_hour_before,
            what_an_hour_no_longer_gives_vanishes_and_nothing_else,
            the_last_value_follows_the_observations,
            a_quarantined_hour_is_resolved_by_a_good_one,
            an_observation_must_be_of_its_hour,
            an_observation_comes_back_as_it_was_refined,
        }
        retention {
            observations_go_by_whole_months,
            hours_of_a_dropped_month_can_be_refined_again,
            months_to_come_can_be_prepared,
        }
        tokens {
            a_token_is_kept_without_its_secret,
            a_name_is_given_again_only_when_it_is_revoked,
            the_last_use_of_a_token_never_goes_back,
        }
    }
    make {
        changes {
            records_come_in_the_order_in_which_they_changed_however_old_they_are,
            a_selection_leaves_out_and_the_mark_passes_what_was_left_out,
            observations_come_with_their_hour_again_when_it_is_refined_again,
        }
        standing {
            parts_of_an_hour_are_united_each_sample_once,
            substitutes_fill_an_hour_that_has_nothing_and_give_way_to_what_was_measured,
            the_files_of_an_archive_day_come_together,
            a_whole_hour_takes_the_place_of_anything,
            an_hour_that_comes_in_parts_is_refined_when_it_has_ended,
        }
    }
}

suite! {
    direct {
        given {}
        make {
            sta_keep {
                a_station_has_all_its_entities,
                a_station_that_is_renamed_is_described_anew,
                a_station_that_moves_has_a_history,
                a_track_that_is_recomputed_leaves_nothing_behind,
                a_declared_location_comes_first,
                series_that_come_later_are_datastreams_of_the_same_thing,
                stations_share_sensors_and_observed_properties,
                bringing_in_line_again_changes_nothing,
                the_entities_of_an_older_store_are_made_when_it_is_opened,
            }
            sta_write {
                what_comes_with_an_entity_is_made_with_it,
                what_makes_no_sense_is_refused_and_leaves_nothing,
                all_of_a_list_happens_or_nothing,
                a_thing_that_moves_has_a_history,
                observations_are_of_the_feature_of_the_newest_location,
                counts_and_extents_are_exact_after_every_change,
                a_patch_merges_and_a_put_replaces,
                results_are_kept_as_they_are,
                what_cannot_be_without_an_entity_goes_with_it,
                ids_are_never_given_again,
                what_the_pipeline_keeps_is_not_changed,
                who_is_of_a_project_changes_only_what_is_of_it,
                the_same_again_is_found_by_its_name,
                entities_are_linked_and_unlinked,
                changes_are_told_once_in_their_order,
                refined_hours_are_told_with_the_ids_of_their_observations,
                one_refused_row_does_not_hold_up_the_others,
                what_a_filter_selects_is_removed,
                what_is_not_whole_is_found,
                many_write_at_once_and_nothing_is_lost,
                opposite_orders_do_not_stop_anybody,
            }
            sta_read {
                sets_and_entities_of_all_types_are_read,
                a_path_leads_from_entity_to_entity,
                pages_hold_each_entity_once_in_every_order,
                all_observations_by_time_are_those_of_each_table,
                a_cursor_of_another_order_or_of_nothing_is_refused,
                counts_are_those_of_all_pages,
                relations_are_expanded_to_any_depth,
                answers_that_are_too_large_are_refused,
                filters_select_what_they_say,
                filters_of_observations_tell_times_and_results,
                an_observation_tells_how_it_came_about,
                observations_are_averaged_over_spans_of_time,
                groups_are_summed_up,
            }
        }
    }
}

// What depends on transactions that begin on any connection.
suite! { @of sta_through_pgbouncer PgBouncer {
    given {}
    make {
        sta_keep {
            a_track_that_is_recomputed_leaves_nothing_behind,
        }
        sta_write {
            counts_and_extents_are_exact_after_every_change,
            the_same_again_is_found_by_its_name,
            many_write_at_once_and_nothing_is_lost,
        }
    }
} }
