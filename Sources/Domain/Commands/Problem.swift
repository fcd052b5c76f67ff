package import Foundation

/// Why a request could not be met, in the shape of RFC 9457 (problem details for HTTP).
///
/// A worker stores it as the outcome of an operation, and the API answers with it.
package struct Problem: Codable, Hashable, Sendable, Error {
    /// The last path component of the type's URI, such as `schedule-conflict`.
    package var type: String
    package var title: String
    /// HTTP status.
    package var status: Int
    package var detail: String?
    package var errors: [FieldError]
    package var conflicts: [Conflict]
    package var alternatives: [Alternative]

    /// One invalid field of the request.
    package struct FieldError: Codable, Hashable, Sendable {
        /// JSON pointer (RFC 6901) into the request's body.
        package var pointer: String
        package var code: String
        package var detail: String

        package init(pointer: String, code: String, detail: String) {
            self.pointer = pointer
            self.code = code
            self.detail = detail
        }
    }

    /// A resource that is in the way, and why.
    package struct Conflict: Codable, Hashable, Sendable {
        package var resource: ResourceID
        package var resourceName: String
        /// Why, in plain words. It does not tell for whom a resource is taken.
        package var reason: String
        /// What takes it; only where whoever asks is to move that thing first.
        package var booking: BookingInTheWay?

        package init(resource: ResourceID, resourceName: String, reason: String, booking: BookingInTheWay? = nil) {
            self.resource = resource
            self.resourceName = resourceName
            self.reason = reason
            self.booking = booking
        }
    }

    /// A booking that has to make room.
    package struct BookingInTheWay: Codable, Hashable, Sendable {
        /// As in `allocations.subject_kind`; a consultation is named as one.
        package var kind: String
        package var id: String
        /// What people call it.
        package var name: String
        package var customer: String?
        /// When the resource is taken, buffers included.
        package var startsAt: Date
        package var endsAt: Date

        package init(kind: String, id: String, name: String, customer: String?, startsAt: Date, endsAt: Date) {
            self.kind = kind
            self.id = id
            self.name = name
            self.customer = customer
            self.startsAt = startsAt
            self.endsAt = endsAt
        }
    }

    package init(
        type: String, title: String, status: Int, detail: String? = nil, errors: [FieldError] = [],
        conflicts: [Conflict] = [], alternatives: [Alternative] = []
    ) {
        self.type = type
        self.title = title
        self.status = status
        self.detail = detail
        self.errors = errors
        self.conflicts = conflicts
        self.alternatives = alternatives
    }

    package static func validation(_ errors: [FieldError]) -> Problem {
        Problem(
            type: "validation", title: "The request has invalid fields", status: 422,
            detail: "Correct the listed fields and send the request again.", errors: errors)
    }

    package static func notFound(_ what: String) -> Problem {
        Problem(type: "not-found", title: "There is no such \(what)", status: 404)
    }

    package static func scheduleConflict(
        detail: String, conflicts: [Conflict], alternatives: [Alternative]
    ) -> Problem {
        Problem(
            type: "schedule-conflict", title: "The time is not free", status: 409, detail: detail,
            conflicts: conflicts, alternatives: alternatives)
    }

    package static func versionMismatch(expected: Int, actual: Int) -> Problem {
        Problem(
            type: "version-mismatch", title: "The thing has changed meanwhile", status: 412,
            detail: "Version \(expected) was expected, \(actual) is current. Read it again and decide anew.")
    }

    package static func illegalTransition(_ detail: String) -> Problem {
        Problem(type: "illegal-transition", title: "The present state does not allow this", status: 409, detail: detail)
    }
}
