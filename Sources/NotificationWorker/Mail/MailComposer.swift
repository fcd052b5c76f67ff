import Domain
package import Foundation
package import Persistence
package import Transport

/// Makes the mail of a notice: text, HTML and, where the calendar is concerned, an invitation.
package struct MailComposer: Sendable {
    private let templates: MailTemplates
    private let from: Mailbox
    private let replyTo: Mailbox?

    package init(templates: MailTemplates, from: Mailbox, replyTo: Mailbox? = nil) {
        self.templates = templates
        self.from = from
        self.replyTo = replyTo
    }

    /// The domain of our Message-IDs and calendar entries.
    package var domain: String { from.domain }

    /// - Parameters:
    ///   - now: the mail's date.
    ///   - correlationID: goes into a header, so that a mail leads back to the webhook that it follows from.
    ///   - traceParent: goes into a header as well.
    /// - Throws: `Mailbox.InvalidAddress` for a recipient that is no address; a broken template.
    package func mail(
        for claim: NotificationRepository.Claim, at now: Date, correlationID: String? = nil, traceParent: String? = nil
    ) throws -> Mail {
        let notice = claim.planned
        let recipient = try Mailbox(
            name: notice.recipientName.isEmpty ? nil : notice.recipientName, address: notice.recipient)
        let text = try templates.text(of: notice)
        // Automatic answers to automatic mail would go round in circles (RFC 3834).
        var headers: [(name: String, value: String)] = [("Auto-Submitted", "auto-generated")]
        if let correlationID { headers.append(("X-Neff-Correlation-Id", correlationID)) }
        if let traceParent { headers.append(("X-Neff-Traceparent", traceParent)) }
        if claim.isRepeat { headers.append(("X-Neff-Repeat", "possible")) }
        return try Mail(
            from: from, to: recipient, replyTo: replyTo, subject: text.subject, messageID: claim.mailID, date: now,
            text: text.body, html: Self.html(text.body, links: notice.facts.links),
            calendar: invitation(for: notice, text: text, at: now), headers: headers)
    }

    private func invitation(
        for notice: PlannedNotification, text: MailTemplates.Text, at now: Date
    ) throws -> Mail.CalendarPart? {
        let method: CalendarInvite.Method
        switch notice.facts.invitation {
        case .request: method = .request
        case .cancel: method = .cancel
        case .none: return nil
        }
        let invite = CalendarInvite(
            method: method, uid: "\(notice.subjectID)@\(domain)", sequence: notice.sequence, stamp: now,
            visit: notice.facts.visit, summary: "Neff Paving: \(notice.facts.what)", location: notice.facts.address,
            description: text.body, organizer: (from.name ?? "Neff Paving", from.address),
            attendee: (notice.recipientName, notice.recipient))
        return try Mail.CalendarPart(method: method == .request ? .request : .cancel, bytes: invite.rendered())
    }

    /// The text as HTML: paragraphs, line breaks, and our own links. What customers typed never becomes a link.
    static func html(_ text: String, links: [String]) -> String {
        let paragraphs = text.split(separator: "\n\n").map { paragraph in
            let lines = paragraph.split(separator: "\n").map { line in
                line.split(separator: " ", omittingEmptySubsequences: false).map { word in
                    let escaped = Self.escaped(word)
                    return word.hasPrefix("https://") && links.contains(String(word))
                        ? "<a href=\"\(escaped)\">\(escaped)</a>" : escaped
                }.joined(separator: " ")
            }
            return "<p>\(lines.joined(separator: "<br>\n"))</p>"
        }
        return """
            <!DOCTYPE html>
            <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"></head>
            <body style="font-family:sans-serif;font-size:16px;line-height:1.5;max-width:36em;margin:1em auto;padding:0 1em">
            \(paragraphs.joined(separator: "\n"))
            </body></html>

            """
    }

    /// By scalars: a quote with an accent over it is another character to Swift, and a quote to a browser.
    private static func escaped(_ text: Substring) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "'": result += "&#39;"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}

extension NoticeFacts {
    fileprivate var links: [String] { [cancelLink, rescheduleLink].compactMap { $0 } }
}
