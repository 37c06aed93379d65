//! The suites. Each ends well or panics.

pub mod bad_input;
pub mod batches;
pub mod enrollment;
pub mod firehose;
pub mod identity;
pub mod listing;
pub mod load;
pub mod odd_requests;
pub mod proofs;
pub mod records;
pub mod sync;
pub mod tokens;

/// Calls a macro with the table of all suites, so that a host can make a test of each.
#[macro_export]
macro_rules! for_each_suite {
    ($each:ident) => {
        $each! {
            enrollment::every_algorithm_enrolls_and_writes,
            enrollment::welcome_md_has_the_required_parts,
            enrollment::the_exact_bytes_of_the_terms_are_signed,
            enrollment::a_known_key_consents_again_and_keeps_its_account,
            enrollment::one_key_has_one_account_under_concurrency,
            enrollment::a_taken_handle_is_refused_in_every_spelling,
            enrollment::of_agents_racing_for_a_handle_exactly_one_wins,
            enrollment::handles_that_cannot_be_had_are_refused_by_name,
            enrollment::short_and_full_handles_are_taken,
            enrollment::the_entry_url_is_taken_verbatim,
            enrollment::bad_enrollments_are_refused_and_hold_no_handle,
            enrollment::a_short_rsa_key_is_refused,
            identity::the_did_document_names_handle_host_and_key,
            identity::the_did_is_the_hash_of_its_genesis_operation,
            identity::the_recovery_key_is_the_first_rotation_key,
            identity::handles_resolve_in_any_case,
            identity::the_host_header_resolves_a_handle,
            identity::the_server_describes_itself,
            identity::other_origins_may_read_and_write,
            proofs::every_fault_of_a_proof_is_refused,
            proofs::faults_of_the_headers_are_refused,
            proofs::proofs_that_differ_only_in_spelling_are_taken,
            proofs::a_proof_works_once,
            tokens::every_fault_of_a_token_is_refused,
            tokens::tokens_that_differ_in_what_is_optional_are_taken,
            tokens::a_token_for_other_terms_asks_for_consent,
            tokens::a_key_that_never_enrolled_is_told_to,
            records::a_record_is_created_read_replaced_and_deleted,
            records::record_keys_are_generated_in_order,
            records::a_put_that_changes_nothing_makes_no_commit,
            records::deleting_what_is_not_there_makes_no_commit,
            records::swap_record_guards_against_lost_updates,
            records::swap_commit_guards_against_lost_updates,
            records::validation_is_never_pretended,
            records::any_value_of_the_data_model_comes_back_as_it_was,
            records::a_missing_record_is_said_in_the_words_clients_look_for,
            records::concurrent_writes_to_one_repo_are_all_kept,
            batches::a_batch_is_one_commit_with_typed_results,
            batches::a_batch_with_one_bad_write_changes_nothing,
            batches::two_hundred_writes_are_taken_and_no_more,
            batches::the_same_path_twice_in_a_batch_has_its_net_effect,
            batches::a_batch_without_effect_makes_no_commit,
            batches::shrinking_and_growing_keeps_the_tree_canonical,
            listing::records_are_listed_newest_first_and_page_by_page,
            listing::neighbouring_collections_never_leak,
            listing::limits_and_cursors_are_checked,
            listing::a_repo_is_described_with_its_collections,
            bad_input::bodies_that_are_not_json_change_nothing,
            bad_input::values_outside_the_data_model_change_nothing,
            bad_input::names_that_break_the_syntax_change_nothing,
            bad_input::records_of_the_wrong_type_change_nothing,
            bad_input::sizes_and_depths_are_bounded,
            odd_requests::bodies_over_their_limit_are_not_read,
            bad_input::existing_records_and_foreign_repos_are_left_alone,
            odd_requests::strange_requests_are_answered,
            odd_requests::strange_queries_are_answered,
            sync::a_repo_is_exported_whole_and_signed,
            sync::an_export_since_a_revision_is_the_difference,
            sync::heads_and_states_are_told,
            sync::repos_are_listed_page_by_page,
            sync::the_blocks_of_an_export_are_given_by_cid,
            sync::a_block_is_given_once_and_while_it_is_current,
            sync::missing_blocks_are_named,
            sync::lists_of_cids_are_checked,
            sync::presence_and_absence_of_records_are_proven,
            sync::an_empty_repo_proves_that_it_is_empty,
            sync::accounts_are_listed_by_collection_page_by_page,
            sync::an_account_is_listed_while_it_has_records_of_the_collection,
            sync::queries_by_collection_are_checked,
            firehose::a_signup_is_told_in_order,
            firehose::every_kind_of_write_is_told_with_what_was_there_before,
            firehose::a_path_that_is_written_often_in_a_batch_is_told_with_its_net_effect,
            firehose::a_batch_of_two_hundred_is_one_event,
            firehose::a_write_without_effect_is_not_told,
            firehose::a_write_that_fails_is_not_told,
            firehose::a_cursor_goes_on_after_the_event_it_names,
            firehose::a_resumed_stream_has_neither_gap_nor_repeat_while_others_write,
            firehose::a_cursor_in_the_future_is_told_so_and_closed,
            firehose::cursors_that_are_none_are_refused_before_the_upgrade,
            firehose::a_plain_request_is_told_to_upgrade,
            firehose::handshakes_that_are_wrong_are_refused,
            firehose::handshakes_in_any_spelling_are_taken,
            firehose::what_subscribers_say_is_ignored_and_pings_are_answered,
            firehose::a_subscriber_that_says_too_much_is_let_go,
            firehose::a_subscriber_may_leave,
            firehose::a_commit_may_be_as_large_as_the_network_takes_and_no_larger,
            firehose::many_records_that_are_too_much_together_are_refused,
            load::a_hundred_agents_enroll_and_write_at_once,
        }
    };
}
