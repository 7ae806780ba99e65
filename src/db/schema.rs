// @generated automatically by Diesel CLI.

diesel::table! {
    api_tokens (id) {
        id -> BigInt,
        handle -> Text,
        name -> Text,
        secret_hash -> Binary,
        person_id -> BigInt,
        organisation_id -> Nullable<BigInt>,
        scopes -> Text,
        created_at -> Timestamp,
        expires_at -> Timestamp,
        last_used_at -> Nullable<Timestamp>,
        revoked_at -> Nullable<Timestamp>,
        queue_id -> Nullable<BigInt>,
    }
}

diesel::table! {
    audit_details (sequence) {
        sequence -> BigInt,
        detail -> Text,
    }
}

diesel::table! {
    audit_ledger (sequence) {
        sequence -> BigInt,
        at -> Timestamp,
        kind -> Text,
        actor_id -> Nullable<BigInt>,
        subject_id -> Nullable<BigInt>,
        organisation_id -> Nullable<BigInt>,
        detail_sha256 -> Binary,
        previous_hash -> Binary,
        hash -> Binary,
    }
}

diesel::table! {
    connection_contexts (id) {
        id -> BigInt,
        organisation_id -> BigInt,
        ticket_id -> BigInt,
        message_id -> BigInt,
        ip_address -> Text,
        preferred_language -> Text,
        browser -> Text,
        browser_version -> Text,
        operating_system -> Text,
        requested_url -> Text,
        time_zone -> Text,
        created_at -> Timestamp,
    }
}

diesel::table! {
    consent_events (id) {
        id -> BigInt,
        organisation_id -> BigInt,
        request_id -> BigInt,
        grant_id -> Nullable<BigInt>,
        number -> Integer,
        kind -> Text,
        actor -> Text,
        actor_id -> Nullable<BigInt>,
        body -> Text,
        previous_hash -> Text,
        hash -> Text,
        created_at -> Timestamp,
    }
}

diesel::table! {
    consent_grants (id) {
        id -> BigInt,
        organisation_id -> BigInt,
        ticket_id -> BigInt,
        request_id -> BigInt,
        handle -> Text,
        subject_kind -> Text,
        subject_id -> Nullable<BigInt>,
        basis -> Text,
        granted_by -> BigInt,
        seconded_by -> Nullable<BigInt>,
        scope -> Text,
        level -> Text,
        duration_minutes -> Integer,
        retention_days -> Integer,
        exports_allowed -> Bool,
        stop_condition -> Text,
        idle_minutes -> Nullable<Integer>,
        state -> Text,
        end_reason -> Nullable<Text>,
        granted_at -> Timestamp,
        expires_at -> Timestamp,
        last_viewed_at -> Nullable<Timestamp>,
        ended_at -> Nullable<Timestamp>,
        kept_until -> Nullable<Timestamp>,
        destroyed_at -> Nullable<Timestamp>,
        version -> BigInt,
    }
}

diesel::table! {
    consent_links (id) {
        id -> BigInt,
        token_hash -> Binary,
        opens -> Text,
        organisation_id -> BigInt,
        request_id -> BigInt,
        person_id -> BigInt,
        created_at -> Timestamp,
        expires_at -> Timestamp,
    }
}

diesel::table! {
    consent_receipts (id) {
        id -> BigInt,
        organisation_id -> BigInt,
        grant_id -> BigInt,
        handle -> Text,
        kind -> Text,
        document -> Text,
        signature -> Text,
        key_id -> Text,
        created_at -> Timestamp,
    }
}

diesel::table! {
    consent_requests (id) {
        id -> BigInt,
        organisation_id -> BigInt,
        ticket_id -> BigInt,
        handle -> Text,
        requested_by -> BigInt,
        subject_kind -> Text,
        subject_id -> Nullable<BigInt>,
        purpose -> Text,
        purpose_code -> Text,
        scope -> Text,
        level -> Text,
        manifest -> Text,
        manifest_sha256 -> Text,
        duration_minutes -> Integer,
        retention_days -> Integer,
        recipients -> Text,
        exports_allowed -> Bool,
        stop_condition -> Text,
        idle_minutes -> Nullable<Integer>,
        wording_sha256 -> Text,
        language -> Text,
        state -> Text,
        pending_choice -> Nullable<Text>,
        created_at -> Timestamp,
        expires_at -> Timestamp,
        decided_by -> Nullable<BigInt>,
        decided_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    consent_wordings (id) {
        id -> BigInt,
        version -> Integer,
        language -> Text,
        sha256 -> Text,
        text -> Text,
        created_at -> Timestamp,
    }
}

diesel::table! {
    environment_components (id) {
        id -> BigInt,
        organisation_id -> BigInt,
        environment_id -> BigInt,
        kind -> Text,
        name -> Text,
        component_version -> Text,
    }
}

diesel::table! {
    environments (id) {
        id -> BigInt,
        organisation_id -> BigInt,
        site_id -> Nullable<BigInt>,
        handle -> Text,
        name -> Text,
        operating_system -> Text,
        remarks -> Text,
        created_at -> Timestamp,
        updated_at -> Timestamp,
    }
}

diesel::table! {
    idempotency_keys (id) {
        id -> BigInt,
        person_id -> BigInt,
        idempotency_key -> Text,
        request_digest -> Binary,
        response_status -> Integer,
        response_body -> Text,
        created_at -> Timestamp,
    }
}

diesel::table! {
    imap_accounts (name) {
        name -> Text,
        leased_by -> Nullable<Text>,
        leased_until -> Nullable<Timestamp>,
        connected_since -> Nullable<Timestamp>,
        heard_at -> Nullable<Timestamp>,
        last_mail_at -> Nullable<Timestamp>,
        taken -> BigInt,
        trouble -> Nullable<Text>,
        trouble_words -> Text,
        trouble_since -> Nullable<Timestamp>,
    }
}

diesel::table! {
    imap_folders (id) {
        id -> BigInt,
        account -> Text,
        folder -> Text,
        place -> Text,
        uid_validity -> BigInt,
        next_uid -> BigInt,
        older_below -> BigInt,
        began_at -> Timestamp,
    }
}

diesel::table! {
    imap_mails (id) {
        id -> BigInt,
        folder_id -> BigInt,
        uid -> BigInt,
        state -> Text,
        attempts -> Integer,
        next_at -> Timestamp,
        words -> Text,
    }
}

diesel::table! {
    jobs (id) {
        id -> BigInt,
        name -> Text,
        payload -> Text,
        state -> Text,
        attempts -> Integer,
        run_at -> Timestamp,
        leased_until -> Nullable<Timestamp>,
        leased_by -> Nullable<Text>,
        last_error -> Nullable<Text>,
        created_at -> Timestamp,
    }
}

diesel::table! {
    journal (id) {
        id -> BigInt,
        handle -> Text,
        mailbox_id -> BigInt,
        recipient -> Text,
        envelope_from -> Text,
        way -> Text,
        raw -> Nullable<Binary>,
        raw_sha256 -> Binary,
        size -> BigInt,
        state -> Text,
        attempts -> Integer,
        strikes -> Integer,
        next_at -> Timestamp,
        leased_until -> Nullable<Timestamp>,
        leased_by -> Nullable<Text>,
        content_sha256 -> Nullable<Binary>,
        mail_id -> Nullable<Text>,
        original_hash -> Nullable<Text>,
        organisation_id -> Nullable<BigInt>,
        ticket_id -> Nullable<BigInt>,
        record -> Text,
        last_error -> Nullable<Text>,
        received_at -> Timestamp,
        finished_at -> Nullable<Timestamp>,
        imap_account -> Nullable<Text>,
        imported -> Nullable<Text>,
        is_from_before -> Nullable<Bool>,
        client_address -> Nullable<Text>,
        client_name -> Nullable<Text>,
        only_queue_id -> Nullable<BigInt>,
        is_adopted -> Nullable<Bool>,
    }
}

diesel::table! {
    round_trips (id) {
        id -> BigInt,
        handle -> Text,
        mailbox_id -> BigInt,
        mail_id -> Text,
        sent_at -> Timestamp,
        journal_id -> Nullable<BigInt>,
    }
}

diesel::table! {
    mailboxes (id) {
        id -> BigInt,
        handle -> Text,
        address -> Text,
        canonical -> Text,
        display_name -> Text,
        queue_id -> BigInt,
        language -> Text,
        acknowledges -> Bool,
        is_default -> Bool,
        created_at -> Timestamp,
        updated_at -> Timestamp,
        names_agents -> Bool,
        signature -> Text,
        closed_tickets -> Text,
        reopen_days -> Integer,
    }
}

diesel::table! {
    memberships (id) {
        id -> BigInt,
        person_id -> BigInt,
        organisation_id -> BigInt,
        sees_all_tickets -> Bool,
        manages_organisation -> Bool,
        grants_tracing -> Bool,
        is_contact -> Bool,
        created_at -> Timestamp,
    }
}

diesel::table! {
    one_time_tokens (id) {
        id -> BigInt,
        token_hash -> Binary,
        purpose -> Text,
        person_id -> Nullable<BigInt>,
        payload -> Text,
        created_at -> Timestamp,
        expires_at -> Timestamp,
        used_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    organisations (id) {
        id -> BigInt,
        handle -> Text,
        kind -> Text,
        name -> Text,
        sort_name -> Text,
        status -> Text,
        contract_started_on -> Nullable<Date>,
        contract_ended_on -> Nullable<Date>,
        address_lines -> Text,
        postal_code -> Text,
        city -> Text,
        country -> Text,
        vat_number -> Text,
        telephone -> Text,
        language -> Text,
        colleagues_see_tickets -> Bool,
        declines_reference -> Bool,
        version -> BigInt,
        created_at -> Timestamp,
        updated_at -> Timestamp,
        copied_domain -> Text,
    }
}

diesel::table! {
    outbox (id) {
        id -> BigInt,
        handle -> Text,
        kind -> Text,
        organisation_id -> Nullable<BigInt>,
        ticket_id -> Nullable<BigInt>,
        message_id -> Nullable<BigInt>,
        person_id -> Nullable<BigInt>,
        recipient -> Text,
        envelope_from -> Text,
        mail_id -> Text,
        subject -> Text,
        mime -> Nullable<Binary>,
        state -> Text,
        attempts -> Integer,
        strikes -> Integer,
        next_at -> Timestamp,
        leased_until -> Nullable<Timestamp>,
        leased_by -> Nullable<Text>,
        expires_at -> Timestamp,
        last_error -> Nullable<Text>,
        created_at -> Timestamp,
        sent_at -> Nullable<Timestamp>,
        folded_into -> Nullable<BigInt>,
        mailbox_id -> Nullable<BigInt>,
    }
}

diesel::table! {
    owed_scrubs (id) {
        id -> BigInt,
        destructions -> BigInt,
        since -> Timestamp,
        attempts -> BigInt,
    }
}

diesel::table! {
    passwords (person_id) {
        person_id -> BigInt,
        hash -> Text,
        changed_at -> Timestamp,
    }
}

diesel::table! {
    people (id) {
        id -> BigInt,
        handle -> Text,
        first_name -> Text,
        last_name -> Text,
        sort_name -> Text,
        job_title -> Text,
        telephone -> Text,
        language -> Text,
        time_zone -> Text,
        theme -> Text,
        state -> Text,
        origin -> Text,
        mailed_about_tickets -> Bool,
        version -> BigInt,
        created_at -> Timestamp,
        updated_at -> Timestamp,
        complained_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    person_addresses (id) {
        id -> BigInt,
        person_id -> BigInt,
        address -> Text,
        canonical -> Text,
        is_primary -> Bool,
        confirmed_at -> Nullable<Timestamp>,
        created_at -> Timestamp,
        bounced_at -> Nullable<Timestamp>,
        suppressed_at -> Nullable<Timestamp>,
        last_pass_at -> Nullable<Timestamp>,
        second_last_pass_at -> Nullable<Timestamp>,
        third_last_pass_at -> Nullable<Timestamp>,
        accepted_without_pass_at -> Nullable<Timestamp>,
        looped_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    planned_answers (id) {
        id -> BigInt,
        organisation_id -> BigInt,
        ticket_id -> BigInt,
        handle -> Text,
        author_id -> BigInt,
        requester_id -> BigInt,
        audience -> Text,
        body_text -> Text,
        files -> Text,
        status -> Text,
        seen -> Integer,
        state -> Text,
        held_because -> Nullable<Text>,
        planned_for -> Nullable<Timestamp>,
        release_at -> Timestamp,
        created_at -> Timestamp,
        changed_at -> Timestamp,
    }
}

diesel::table! {
    queue_members (queue_id, person_id) {
        queue_id -> BigInt,
        person_id -> BigInt,
    }
}

diesel::table! {
    queues (id) {
        id -> BigInt,
        handle -> Text,
        kind -> Text,
        name_fr -> Text,
        name_en -> Text,
        on_form -> Bool,
        position -> Integer,
        created_at -> Timestamp,
        updated_at -> Timestamp,
    }
}

diesel::table! {
    reading_records (id) {
        id -> BigInt,
        organisation_id -> BigInt,
        grant_id -> BigInt,
        reader_id -> BigInt,
        reader_kind -> Text,
        action -> Text,
        detail -> Text,
        records -> BigInt,
        reason -> Text,
        number -> BigInt,
        previous_hash -> Text,
        hash -> Text,
        created_at -> Timestamp,
    }
}

diesel::table! {
    recurring_runs (name) {
        name -> Text,
        last_run_at -> Timestamp,
    }
}

diesel::table! {
    sampling_keys (id) {
        id -> BigInt,
        organisation_id -> BigInt,
        key_hash -> Binary,
        created_at -> Timestamp,
        revoked_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    search_documents (id) {
        id -> BigInt,
        organisation_id -> BigInt,
        ticket_id -> BigInt,
        message_id -> BigInt,
        staff_only -> Bool,
        words -> Text,
    }
}

diesel::table! {
    sending_domains (domain) {
        domain -> Text,
        last_pass_at -> Timestamp,
        second_last_pass_at -> Nullable<Timestamp>,
        third_last_pass_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    sessions (id) {
        id -> BigInt,
        handle -> Text,
        token_hash -> Binary,
        person_id -> BigInt,
        remembered -> Bool,
        ip_address -> Text,
        user_agent -> Text,
        proven_at -> Timestamp,
        created_at -> Timestamp,
        last_seen_at -> Timestamp,
        expires_at -> Timestamp,
        acting_for -> Nullable<BigInt>,
    }
}

diesel::table! {
    settings (name) {
        name -> Text,
        value -> Text,
        updated_at -> Timestamp,
    }
}

diesel::table! {
    sites (id) {
        id -> BigInt,
        organisation_id -> BigInt,
        handle -> Text,
        name -> Text,
        address -> Text,
        person_in_charge -> Text,
        telephone -> Text,
        created_at -> Timestamp,
        updated_at -> Timestamp,
    }
}

diesel::table! {
    staff_member_roles (person_id, staff_role_id) {
        person_id -> BigInt,
        staff_role_id -> BigInt,
    }
}

diesel::table! {
    staff_members (person_id) {
        person_id -> BigInt,
        undertaking_version -> Nullable<Integer>,
        undertaking_accepted_at -> Nullable<Timestamp>,
        created_at -> Timestamp,
    }
}

diesel::table! {
    staff_roles (id) {
        id -> BigInt,
        handle -> Text,
        builtin -> Nullable<Text>,
        name -> Text,
        permissions -> Text,
        updated_at -> Timestamp,
    }
}

diesel::table! {
    throttles (name) {
        name -> Text,
        spent -> Double,
        updated_at -> Timestamp,
        blocked_until -> Nullable<Timestamp>,
    }
}

diesel::table! {
    thrown_away_files (id) {
        id -> BigInt,
        content_hash -> Text,
        thrown_away_at -> Timestamp,
    }
}

diesel::table! {
    ticket_attachments (id) {
        id -> BigInt,
        organisation_id -> BigInt,
        ticket_id -> BigInt,
        message_id -> BigInt,
        handle -> Text,
        file_name -> Text,
        media_type -> Text,
        size -> BigInt,
        content_hash -> Text,
        content_id -> Nullable<Text>,
        created_at -> Timestamp,
    }
}

diesel::table! {
    ticket_contacts (id) {
        id -> BigInt,
        organisation_id -> BigInt,
        ticket_id -> BigInt,
        message_id -> BigInt,
        received_at -> Timestamp,
        telephone -> Nullable<Text>,
        duration_minutes -> Nullable<Integer>,
        reached -> Text,
    }
}

diesel::table! {
    ticket_events (id) {
        id -> BigInt,
        organisation_id -> BigInt,
        ticket_id -> BigInt,
        kind -> Text,
        actor -> Text,
        actor_id -> Nullable<BigInt>,
        message_id -> Nullable<BigInt>,
        details -> Text,
        created_at -> Timestamp,
    }
}

diesel::table! {
    ticket_links (id) {
        id -> BigInt,
        token_hash -> Binary,
        organisation_id -> BigInt,
        ticket_id -> BigInt,
        person_id -> BigInt,
        created_at -> Timestamp,
        expires_at -> Timestamp,
    }
}

diesel::table! {
    ticket_mail_ids (id) {
        id -> BigInt,
        organisation_id -> BigInt,
        ticket_id -> BigInt,
        message_id -> Nullable<BigInt>,
        mailbox_id -> BigInt,
        direction -> Text,
        mail_id -> Text,
        created_at -> Timestamp,
    }
}

diesel::table! {
    ticket_messages (id) {
        id -> BigInt,
        organisation_id -> BigInt,
        ticket_id -> BigInt,
        handle -> Text,
        kind -> Text,
        visibility -> Text,
        channel -> Text,
        author_id -> Nullable<BigInt>,
        from_name -> Text,
        from_address -> Text,
        body_text -> Text,
        quoted_text -> Text,
        body_html -> Nullable<Text>,
        remark -> Nullable<Text>,
        mail_id -> Nullable<Text>,
        ingest_id -> Nullable<BigInt>,
        created_at -> Timestamp,
        invitation -> Nullable<Text>,
    }
}

diesel::table! {
    ticket_participants (id) {
        id -> BigInt,
        organisation_id -> BigInt,
        ticket_id -> BigInt,
        person_id -> BigInt,
        part -> Text,
        state -> Text,
        token_number -> BigInt,
        token_epoch -> Integer,
        joined_at -> Timestamp,
    }
}

diesel::table! {
    ticket_tags (ticket_id, tag) {
        organisation_id -> BigInt,
        ticket_id -> BigInt,
        tag -> Text,
    }
}

diesel::table! {
    tickets (id) {
        id -> BigInt,
        organisation_id -> BigInt,
        reference -> Text,
        handle -> BigInt,
        queue_id -> BigInt,
        requester_id -> BigInt,
        assignee_id -> Nullable<BigInt>,
        site_id -> Nullable<BigInt>,
        environment_id -> Nullable<BigInt>,
        mailbox_id -> Nullable<BigInt>,
        subject -> Text,
        status -> Text,
        priority -> Text,
        channel -> Text,
        language -> Text,
        is_private -> Bool,
        address_confirmed -> Bool,
        waiting_since -> Timestamp,
        message_count -> Integer,
        last_message_at -> Timestamp,
        first_answered_at -> Nullable<Timestamp>,
        closed_at -> Nullable<Timestamp>,
        version -> BigInt,
        created_at -> Timestamp,
        updated_at -> Timestamp,
    }
}

diesel::table! {
    trace_chunks (id) {
        id -> BigInt,
        organisation_id -> BigInt,
        grant_id -> BigInt,
        number -> BigInt,
        channel -> Text,
        sealed -> Binary,
        tag -> Binary,
        previous_tag -> Binary,
        records -> Integer,
        first_at -> Timestamp,
        last_at -> Timestamp,
        created_at -> Timestamp,
    }
}

diesel::table! {
    trace_counters (grant_id) {
        grant_id -> BigInt,
        captured -> BigInt,
        dropped_full -> BigInt,
        dropped_budget -> BigInt,
        out_of_scope -> BigInt,
        late -> BigInt,
        redacted -> Text,
        updated_at -> Timestamp,
    }
}

diesel::table! {
    trace_keys (grant_id) {
        grant_id -> BigInt,
        wrapped_key -> Binary,
        wrapping_key_id -> Text,
        created_at -> Timestamp,
    }
}

diesel::joinable!(api_tokens -> organisations (organisation_id));
diesel::joinable!(api_tokens -> people (person_id));
diesel::joinable!(api_tokens -> queues (queue_id));
diesel::joinable!(consent_events -> people (actor_id));
diesel::joinable!(consent_grants -> organisations (organisation_id));
diesel::joinable!(consent_links -> people (person_id));
diesel::joinable!(consent_requests -> organisations (organisation_id));
diesel::joinable!(environments -> organisations (organisation_id));
diesel::joinable!(imap_mails -> imap_folders (folder_id));
diesel::joinable!(journal -> mailboxes (mailbox_id));
diesel::joinable!(mailboxes -> queues (queue_id));
diesel::joinable!(memberships -> organisations (organisation_id));
diesel::joinable!(memberships -> people (person_id));
diesel::joinable!(one_time_tokens -> people (person_id));
diesel::joinable!(passwords -> people (person_id));
diesel::joinable!(person_addresses -> people (person_id));
diesel::joinable!(queue_members -> queues (queue_id));
diesel::joinable!(queue_members -> staff_members (person_id));
diesel::joinable!(reading_records -> people (reader_id));
diesel::joinable!(sampling_keys -> organisations (organisation_id));
diesel::joinable!(sessions -> organisations (acting_for));
diesel::joinable!(sessions -> people (person_id));
diesel::joinable!(sites -> organisations (organisation_id));
diesel::joinable!(staff_member_roles -> staff_members (person_id));
diesel::joinable!(staff_member_roles -> staff_roles (staff_role_id));
diesel::joinable!(staff_members -> people (person_id));
diesel::joinable!(ticket_events -> people (actor_id));
diesel::joinable!(ticket_links -> people (person_id));
diesel::joinable!(ticket_messages -> people (author_id));
diesel::joinable!(ticket_participants -> people (person_id));
diesel::joinable!(tickets -> mailboxes (mailbox_id));
diesel::joinable!(tickets -> organisations (organisation_id));
diesel::joinable!(tickets -> queues (queue_id));
diesel::joinable!(trace_counters -> consent_grants (grant_id));
diesel::joinable!(trace_keys -> consent_grants (grant_id));

diesel::allow_tables_to_appear_in_same_query!(
    api_tokens,
    audit_details,
    audit_ledger,
    connection_contexts,
    consent_events,
    consent_grants,
    consent_links,
    consent_receipts,
    consent_requests,
    consent_wordings,
    environment_components,
    environments,
    idempotency_keys,
    imap_accounts,
    imap_folders,
    imap_mails,
    jobs,
    journal,
    mailboxes,
    memberships,
    one_time_tokens,
    organisations,
    outbox,
    owed_scrubs,
    passwords,
    people,
    person_addresses,
    planned_answers,
    queue_members,
    queues,
    reading_records,
    recurring_runs,
    sampling_keys,
    search_documents,
    sending_domains,
    sessions,
    settings,
    sites,
    staff_member_roles,
    staff_members,
    staff_roles,
    throttles,
    thrown_away_files,
    ticket_attachments,
    ticket_contacts,
    ticket_events,
    ticket_links,
    ticket_mail_ids,
    ticket_messages,
    ticket_participants,
    ticket_tags,
    tickets,
    trace_chunks,
    trace_counters,
    trace_keys,
);
