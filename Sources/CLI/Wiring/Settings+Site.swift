import Domain
import Foundation
import Settings
import Transport

extension Settings {
    /// The clock of sites whose own zone is not known.
    ///
    /// - Throws: `SettingsError` if there is no such zone; times would otherwise be told in GMT.
    func siteClock() throws(SettingsError) -> SiteClock {
        guard let clock = SiteClock(identifier: try value(Keys.siteTimeZone)) else {
            throw SettingsError(
                name: Keys.siteTimeZone.name, problem: "is not a time zone",
                hint: "Use an IANA name, such as America/New_York.")
        }
        return clock
    }

    /// The name of that clock's zone.
    func siteTimeZone() throws(SettingsError) -> String { try siteClock().timeZone.identifier }

    /// Where the office reads mail, without a name; nil if it does not.
    ///
    /// - Throws: `SettingsError` if no mail could be sent there.
    func officeAddress() throws -> String? {
        try optional(Keys.officeEmail).map { try MailAddress.read($0, key: Keys.officeEmail.name).address }
    }
}
