/// What can be set about the `sync` worker.
package struct SyncConfiguration: Hashable, Sendable {
    /// IANA name of the zone in which people on site read times.
    package var siteTimeZone: String
    /// How long the old half of a reschedule may wait for the new one before it is marked for attention.
    package var rescheduleWait: Duration

    package init(siteTimeZone: String = "America/New_York", rescheduleWait: Duration = .seconds(15 * 60)) {
        self.siteTimeZone = siteTimeZone
        self.rescheduleWait = rescheduleWait
    }
}
