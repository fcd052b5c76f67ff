package import Domain
package import Foundation

/// What the API shows of the schedule.
package protocol ScheduleReads: Sendable {
    func job(_ id: JobID) async throws -> Representation?
    func jobs(_ query: ListQuery<JobState>) async throws -> Page
    func consultation(_ id: ConsultationID) async throws -> Representation?
    func consultations(_ query: ListQuery<ConsultationState>) async throws -> Page
}

/// A thing as the API shows it.
package struct Representation: Hashable, Sendable {
    package var json: [UInt8]
    /// Goes up with each change of it; the strong ETag.
    package var version: Int

    package init(json: [UInt8], version: Int) {
        self.json = json
        self.version = version
    }
}

/// Which things to list: by their start, ascending, then by id.
package struct ListQuery<State: Hashable & Sendable>: Hashable, Sendable {
    /// Any of these; empty is any state.
    package var states: [State] = []
    /// The earliest start.
    package var from: Date?
    /// Starts before this.
    package var to: Date?
    /// 1 to 200.
    package var limit = 50
    /// Continues after this place.
    package var after: ListCursor?

    package init() {}
}

/// One page of a list.
package struct Page: Hashable, Sendable {
    /// JSON of each.
    package var items: [[UInt8]]
    /// Nil on the last page.
    package var next: ListCursor?

    package init(items: [[UInt8]], next: ListCursor? = nil) {
        self.items = items
        self.next = next
    }
}
