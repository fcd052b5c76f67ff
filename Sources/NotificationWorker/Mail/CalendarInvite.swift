package import Domain
package import Foundation

/// An iCalendar object (RFC 5545, carried in mail by RFC 6047) that a mail client shows as an invitation.
///
/// A change is an update of the same entry: the UID stays, SEQUENCE goes up. Times are in UTC, which needs no VTIMEZONE
/// and cannot be misread; calendars show them in the reader's zone.
package struct CalendarInvite: Sendable {
    package enum Method: String, Sendable {
        case request = "REQUEST"
        case cancel = "CANCEL"
    }

    package var method: Method
    package var uid: String
    package var sequence: Int
    /// When this version was made.
    package var stamp: Date
    package var visit: Visit
    package var summary: String
    package var location: String?
    package var description: String
    package var organizer: (name: String, address: String)
    package var attendee: (name: String, address: String)

    package init(
        method: Method, uid: String, sequence: Int, stamp: Date, visit: Visit, summary: String, location: String?,
        description: String, organizer: (name: String, address: String), attendee: (name: String, address: String)
    ) {
        self.method = method
        self.uid = uid
        self.sequence = sequence
        self.stamp = stamp
        self.visit = visit
        self.summary = summary
        self.location = location
        self.description = description
        self.organizer = organizer
        self.attendee = attendee
    }

    /// The object: lines of at most 75 octets, ended by CRLF.
    package func rendered() -> [UInt8] {
        var lines = [
            "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Neff Paving//Scheduling//EN", "CALSCALE:GREGORIAN",
            "METHOD:\(method.rawValue)", "BEGIN:VEVENT", "UID:\(Self.escaped(uid))", "SEQUENCE:\(sequence)",
            "DTSTAMP:\(Self.utc(stamp))", "DTSTART:\(Self.utc(visit.startsAt))", "DTEND:\(Self.utc(visit.endsAt))",
            "SUMMARY:\(Self.escaped(summary))", "DESCRIPTION:\(Self.escaped(description))",
            "STATUS:\(method == .cancel ? "CANCELLED" : "CONFIRMED")", "TRANSP:OPAQUE",
            "ORGANIZER\(Self.commonName(organizer.name)):mailto:\(organizer.address)",
            "ATTENDEE\(Self.commonName(attendee.name));ROLE=REQ-PARTICIPANT;PARTSTAT=ACCEPTED;RSVP=FALSE:mailto:"
                + attendee.address,
        ]
        if let location { lines.append("LOCATION:\(Self.escaped(location))") }
        lines += ["END:VEVENT", "END:VCALENDAR"]
        return lines.flatMap(Self.folded)
    }

    /// `20270316T130000Z`.
    private static func utc(_ date: Date) -> String {
        date.formatted(Date.ISO8601FormatStyle(dateSeparator: .omitted, timeSeparator: .omitted))
    }

    // All of this goes by scalars: a Swift character may be a delimiter and an accent over it, which equals neither.

    /// TEXT values (RFC 5545 section 3.3.11): backslash, semicolon, comma and line breaks.
    private static func escaped(_ text: String) -> String {
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\", ";", ",": result += ["\\", scalar]
            case "\n": result += ["\\", "n"]
            default: if !isControl(scalar) { result.append(scalar) }
            }
        }
        return String(result)
    }

    /// Quoted parameter values (section 3.2) cannot hold quotes or control characters at all.
    private static func commonName(_ name: String) -> String {
        let scalars = name.unicodeScalars.filter { $0 != "\"" && !isControl($0) }
        return scalars.isEmpty ? "" : ";CN=\"\(String(String.UnicodeScalarView(scalars)))\""
    }

    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.generalCategory == .control
    }

    /// Folding (section 3.1): at most 75 octets in a line, never inside a scalar.
    private static func folded(_ line: String) -> [UInt8] {
        var result: [UInt8] = []
        var room = 75
        for scalar in line.unicodeScalars {
            let bytes = UTF8.encode(scalar).map(Array.init) ?? []
            if bytes.count > room {
                result += Array("\r\n ".utf8)
                room = 74
            }
            result += bytes
            room -= bytes.count
        }
        return result + Array("\r\n".utf8)
    }
}
