import FoundationEssentials

extension Mail {
    /// The message as it goes over the wire (RFC 5322, MIME): ASCII only, CRLF, every line within 998 octets, none
    /// beginning with a dot. The same mail always gives the same bytes.
    ///
    /// With a calendar: `mixed { alternative { text, html, calendar }, attachment }`. Mail programs that know invitations
    /// take the alternative, the others show the attachment. The plainest form comes first: readers show the last they can.
    package func rendered() -> [UInt8] {
        let body = self.body
        var head = HeaderField.fold("Date", [MailDate.format(date)])
        head += HeaderField.mailbox("From", from)
        head += HeaderField.mailbox("To", to)
        if let replyTo { head += HeaderField.mailbox("Reply-To", replyTo) }
        head += HeaderField.unstructured("Subject", subject)
        // Never folded: some readers take a folded id for an empty one.
        head += "Message-ID: <\(messageID)>\r\n"
        for field in headers { head += HeaderField.unstructured(field.name, field.value) }
        head += "MIME-Version: 1.0\r\n"
        return Array((head + body.head + "\r\n").utf8) + body.content
    }

    private var body: MIMEPart {
        var alternatives = [MIMEPart.text(text, type: "text/plain")]
        if let html { alternatives.append(.text(html, type: "text/html")) }
        if let calendar {
            alternatives.append(
                MIMEPart(
                    type: "text/calendar; charset=utf-8; method=\(calendar.method.rawValue)", base64: calendar.bytes))
        }
        let readable = alternatives.count == 1 ? alternatives[0] : MIMEPart.multipart("alternative", alternatives)
        guard let calendar else { return readable }
        let attachment = MIMEPart(
            type: "application/ics; name=\"\(calendar.fileName)\"", base64: calendar.bytes,
            disposition: "attachment; filename=\"\(calendar.fileName)\"")
        return .multipart("mixed", [readable, attachment])
    }
}

/// A MIME part: its header lines and its encoded content, which ends with CRLF.
struct MIMEPart {
    let head: String
    let content: [UInt8]

    /// Text in quoted-printable: readable on the wire, and safe without 8BITMIME.
    static func text(_ text: String, type: String) -> MIMEPart {
        MIMEPart(
            head: "Content-Type: \(type); charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n",
            content: QuotedPrintable.encode(text))
    }

    /// Several parts between boundaries. The boundary comes from the content, so the same mail gives the same bytes; `=_`
    /// cannot occur in quoted-printable and `_` not in base64, so it cannot occur in a part (RFC 2045 section 6.7).
    static func multipart(_ kind: String, _ parts: [MIMEPart]) -> MIMEPart {
        var content: [UInt8] = []
        let hash = parts.reduce(FNV1a(kind)) { hash, part in hash.adding(part.head.utf8).adding(part.content) }
        let boundary = "=_\(kind)_\(hash.hexadecimal)"
        for part in parts {
            content += Array("--\(boundary)\r\n\(part.head)\r\n".utf8)
            content += part.content
        }
        content += Array("--\(boundary)--\r\n".utf8)
        return MIMEPart(head: "Content-Type: multipart/\(kind);\r\n boundary=\"\(boundary)\"\r\n", content: content)
    }

    private init(head: String, content: [UInt8]) {
        self.head = head
        self.content = content
    }

    /// Bytes that must arrive exactly as they are.
    init(type: String, base64 bytes: [UInt8], disposition: String? = nil) {
        var head = "Content-Type: \(type)\r\nContent-Transfer-Encoding: base64\r\n"
        if let disposition { head += "Content-Disposition: \(disposition)\r\n" }
        self.head = head
        content = bytes.isEmpty ? [0x0d, 0x0a] : Base64.encodeLines(bytes)
    }
}

/// The FNV-1a hash, 64 bits: boundaries need to differ, not to resist anyone.
private struct FNV1a {
    private var value: UInt64 = 0xcbf2_9ce4_8422_2325

    init(_ text: String) {
        add(text.utf8)
    }

    private mutating func add(_ bytes: some Sequence<UInt8>) {
        for byte in bytes { value = (value ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
    }

    func adding(_ bytes: some Sequence<UInt8>) -> FNV1a {
        var copy = self
        copy.add(bytes)
        return copy
    }

    var hexadecimal: String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}

/// Dates of RFC 5322 section 3.3, always in UTC.
enum MailDate {
    private static let weekdays = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    /// `Thu, 01 Jan 1970 00:00:00 +0000`; fractions of a second are cut off.
    static func format(_ date: Date) -> String {
        // Years 1 to 9999: what the format can say.
        let seconds = Int(min(max(date.timeIntervalSince1970, -62_135_596_800), 253_402_300_799).rounded(.down))
        let days = (seconds >= 0 ? seconds : seconds - 86_399) / 86_400
        let time = seconds - days * 86_400
        let (year, month, day) = civil(days)
        let weekday = weekdays[((days % 7) + 7) % 7]
        return "\(weekday), \(two(day)) \(months[month - 1]) \(four(year)) "
            + "\(two(time / 3_600)):\(two(time / 60 % 60)):\(two(time % 60)) +0000"
    }

    /// The Gregorian date of a day number counted from 1970-01-01: eras of 400 years that begin in March, so that the leap
    /// day is a year's last.
    private static func civil(_ days: Int) -> (year: Int, month: Int, day: Int) {
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }

    private static func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }

    private static func four(_ value: Int) -> String {
        let digits = "\(value)"
        return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }
}
