import Foundation
import Settings
import Transport

/// Mail addresses in settings: `Name <address>` or the address alone.
enum MailAddress {
    static func read(_ text: String, key: String) throws -> Mailbox {
        var name: String?
        var address = Substring(text)
        if let open = text.lastIndex(of: "<"), text.hasSuffix(">") {
            name = text[..<open].trimmingCharacters(in: .whitespaces)
            address = text[text.index(after: open)...].dropLast()
        }
        do {
            return try Mailbox(name: name?.isEmpty == false ? name : nil, address: String(address))
        } catch {
            throw SettingsError(
                name: key, problem: "is not a mail address", hint: "Such as Neff Paving <office@example.com>.")
        }
    }
}
