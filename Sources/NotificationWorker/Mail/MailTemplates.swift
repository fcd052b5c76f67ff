import Domain
import Foundation
import Mustache
package import Persistence

/// Subject and text of every kind of notice, from the files in `Templates`.
///
/// The first line of a template is its subject. What customers typed is put in as one line of plain text, so that it can
/// pass neither for a paragraph of ours nor for a header; the HTML part is made from the text with everything escaped.
package struct MailTemplates: Sendable {
    /// What a notice says.
    package struct Text: Hashable, Sendable {
        package var subject: String
        package var body: String
    }

    /// A template is missing or broken: a fault of this program's build.
    package struct Broken: Error, CustomStringConvertible {
        package let template: String
        package var description: String { "the mail template \(template) is missing or broken" }
    }

    private let templates: [String: MustacheTemplate]
    private let officePhone: String

    package init(officePhone: String) throws {
        self.officePhone = officePhone
        var templates: [String: MustacheTemplate] = [:]
        for (name, bytes) in Self.files {
            do {
                templates[name] = try MustacheTemplate(string: String(decoding: bytes, as: UTF8.self))
            } catch {
                throw Broken(template: name)
            }
        }
        self.templates = templates
    }

    /// The names of all templates.
    package static var names: [String] { files.keys.sorted() }

    private static let files: [String: [UInt8]] = [
        "consultation_booked": PackageResources.consultation_booked_mustache,
        "consultation_moved": PackageResources.consultation_moved_mustache,
        "consultation_merged": PackageResources.consultation_merged_mustache,
        "consultation_canceled": PackageResources.consultation_canceled_mustache,
        "job_scheduled": PackageResources.job_scheduled_mustache,
        "job_moved": PackageResources.job_moved_mustache,
        "job_canceled": PackageResources.job_canceled_mustache,
        "visit_assigned": PackageResources.visit_assigned_mustache,
        "visit_moved": PackageResources.visit_moved_mustache,
        "visit_released": PackageResources.visit_released_mustache,
        "visit_unassigned": PackageResources.visit_unassigned_mustache,
    ]

    package func text(of notice: PlannedNotification) throws -> Text {
        guard let template = templates[notice.template] else { throw Broken(template: notice.template) }
        let rendered = template.render(context(of: notice))
        let lines = rendered.split(separator: "\n", maxSplits: 1)
        let prefix = "Subject: "
        guard lines.count == 2, lines[0].hasPrefix(prefix) else { throw Broken(template: notice.template) }
        // A section without content leaves its empty lines behind.
        var body = String(lines[1])
        while body.contains("\n\n\n") { body = body.replacing("\n\n\n", with: "\n\n") }
        return Text(
            subject: String(lines[0].dropFirst(prefix.count)),
            body: body.trimmingCharacters(in: .whitespacesAndNewlines) + "\n")
    }

    private func context(of notice: PlannedNotification) -> [String: Any] {
        let facts = notice.facts
        var context: [String: Any] = [
            "what": Self.line(facts.what), "when": VisitClock.text(facts.visit), "day": VisitClock.day(facts.visit),
            "office_phone": officePhone, "reasons": facts.reasons.map { Self.line($0) },
            "alternatives": facts.alternatives.map { alternative in
                let visit = Visit(
                    startsAt: alternative.startsAt, endsAt: alternative.endsAt, timeZone: facts.visit.timeZone)
                return "\(VisitClock.text(visit)), \(Self.line(alternative.resourceName, maxCharacters: Self.maxName))"
            },
        ]
        func set(_ name: String, _ text: String?, maxCharacters: Int = 1_000) {
            let line = Self.line(text ?? "", maxCharacters: maxCharacters)
            if !line.isEmpty { context[name] = line }
        }
        set("name", notice.recipientName, maxCharacters: Self.maxName)
        set("customer", facts.customerName, maxCharacters: Self.maxName)
        set("customer_phone", facts.customerPhone, maxCharacters: Self.maxName)
        set("assignee", facts.assignee, maxCharacters: Self.maxName)
        if let companions = facts.companions, companions > 0 {
            context["companions"] = companions == 1 ? "another customer" : "\(companions) other customers"
        }
        set("address", facts.address)
        set("reason", facts.reason)
        set("previous_when", facts.previousVisit.map(VisitClock.text))
        set("cancel_link", facts.cancelLink, maxCharacters: 2_000)
        set("reschedule_link", facts.rescheduleLink, maxCharacters: 2_000)
        return context
    }

    private static let maxName = 200

    /// One line of text: white space and control characters of all kinds become single spaces.
    private static func line(_ text: String, maxCharacters: Int = 1_000) -> String {
        let words = text.unicodeScalars.split { scalar in
            scalar.properties.isWhitespace || scalar.properties.generalCategory == .control
                || scalar.properties.isBidiControl
        }
        return String(words.map(String.init).joined(separator: " ").prefix(maxCharacters))
    }
}
