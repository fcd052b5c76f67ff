/// What a consultation is about; decides length, buffers and notice.
package enum ConsultationKind: String, Codable, CaseIterable, Sendable {
    case residential, commercial, maintenance, emergency
    /// Booked under an event type that no rule maps: a person has to look.
    case triage
}

/// The life of a consultation. A reschedule moves it and is not a state.
package enum ConsultationState: String, Codable, CaseIterable, Sendable {
    case booked
    /// The old half of a reschedule came; the new half is awaited.
    case rescheduling
    case noShow = "no_show"
    case canceled
}

/// Whether somebody from Neff Paving goes to a consultation.
package enum AssignmentState: String, Codable, CaseIterable, Sendable {
    case pending, assigned, unassigned, released
}

/// The life of a job.
package enum JobState: String, Codable, CaseIterable, Sendable {
    case requested, scheduled, confirmed, canceled, completed
    case inProgress = "in_progress"
    case onHold = "on_hold"
    case needsReschedule = "needs_reschedule"
}

/// What a service is for.
package enum ServiceCategory: String, Codable, CaseIterable, Sendable {
    case residential, commercial, maintenance, emergency, custom
}

/// How urgent a job is, most urgent first.
package enum Priority: String, Codable, CaseIterable, Sendable {
    case emergency, high, standard, low
}

/// What a resource is.
package enum ResourceKind: String, Codable, CaseIterable, Sendable {
    case crew, estimator, equipment
    /// Somebody of a crew: not booked, but a crew is only as able as those of its people who are there.
    case crewMember = "crew_member"

    /// In words.
    package var words: String { rawValue.replacing("_", with: " ") }
}

/// Whether a machine can be used.
package enum EquipmentStatus: String, Codable, CaseIterable, Sendable {
    case available
    /// At the workshop.
    case inService = "in_service"
    /// Broken, lent or sold.
    case outOfService = "out_of_service"
}

/// Why somebody or something is away.
package enum AbsenceKind: String, Codable, CaseIterable, Sendable {
    /// Of people: crews, their members and estimators.
    case timeOff = "time_off"
    /// Of machines.
    case maintenance
}

/// What an entry of the change log records.
package enum ChangeType: String, Codable, CaseIterable, Sendable {
    case created, scheduled, rescheduled, canceled, completed, reopened, preempted
    case crewChanged = "crew_changed"
    case equipmentChanged = "equipment_changed"
    case statusChanged = "status_changed"
    case priorityChanged = "priority_changed"
    case detailsChanged = "details_changed"
    case noteAdded = "note_added"
    case overrideUsed = "override_used"
    case weatherMoved = "weather_moved"
    case deactivated, removed
}

/// Where a change came from.
package enum ChangeSource: String, Codable, CaseIterable, Sendable {
    case staffWeb = "staff_web"
    case staffAPI = "staff_api"
    case calendlyWebhook = "calendly_webhook"
    case calendlySync = "calendly_sync"
    case scheduler, emergency, weather, system
    case bulkImport = "bulk_import"
}
