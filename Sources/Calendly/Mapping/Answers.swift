import Foundation

/// The questions that something here knows the meaning of.
///
/// Hosts word, reorder and edit their questions, so an answer is found by its question's normalised text in a table of
/// wordings, never by its position.
package enum AnswerKey: String, CaseIterable, Sendable {
    case projectAddress = "project_address"
    case projectType = "project_type"
    /// Not a number: "62,000", "≈ 45 m²", "Unknown".
    case squareFootage = "square_footage"
    case preferredStart = "preferred_start"
    case urgency
    case specialRequirements = "special_requirements"
    case businessName = "business_name"
    case deadline
    case onSiteContact = "on_site_contact"
    case emergencyType = "emergency_type"
    case safetyConcerns = "safety_concerns"
    case callbackNumber = "callback_number"

    /// The key that a question means.
    package init?(question: String) {
        guard let key = Self.byWording[Self.normalised(question)] else { return nil }
        self = key
    }

    /// Lower case without diacritics, with every run of other characters as one space: `Job-site address?` becomes
    /// `job site address`.
    package static func normalised(_ question: String) -> String {
        question.folding(options: [.caseInsensitive, .diacriticInsensitive, .widthInsensitive], locale: nil)
            .split { !$0.isLetter && !$0.isNumber }
            .joined(separator: " ")
    }

    /// How people word the question, normalised.
    private var wordings: [String] {
        switch self {
        case .projectAddress:
            [
                "project address", "address", "job address", "job site address", "jobsite address", "property address",
                "service address", "site address", "street address", "project location", "job location",
                "address of the project", "what is the project address", "where is the project located",
                "what is the property address",
            ]
        case .projectType:
            [
                "project type", "type of project", "type of work", "service type", "type of service", "service needed",
                "services needed", "what type of project is it", "what do you need done", "what kind of project is it",
            ]
        case .squareFootage:
            [
                "estimated square footage", "square footage", "approximate square footage", "approx square footage",
                "square feet", "sq ft", "estimated sq ft", "area in square feet", "project size", "estimated area",
            ]
        case .preferredStart:
            [
                "preferred start date", "preferred start", "desired start date", "preferred date", "start date",
                "when would you like to start", "when would you like work to begin", "preferred timeline",
            ]
        case .urgency:
            [
                "urgency level", "urgency", "how urgent is it", "how urgent is this", "how soon do you need us",
                "priority", "response needed",
            ]
        case .specialRequirements:
            [
                "special requirements", "special instructions", "special requirements or notes", "additional notes",
                "notes", "anything else we should know", "additional information",
                "is there anything else we should know",
                "please share anything that will help prepare for our meeting",
            ]
        case .businessName:
            [
                "business name", "company name", "company", "business", "name of business", "organization",
                "organisation",
            ]
        case .deadline:
            [
                "deadline", "project deadline", "completion deadline", "desired completion date", "completion date",
                "when must it be finished",
            ]
        case .onSiteContact:
            [
                "on site contact", "onsite contact", "site contact", "on site contact person", "on site contact name",
                "who will meet us on site",
            ]
        case .emergencyType:
            [
                "emergency type", "type of emergency", "nature of emergency", "nature of the emergency",
                "what is the emergency",
            ]
        case .safetyConcerns:
            [
                "safety concerns", "safety concern", "immediate safety concerns", "are there any safety concerns",
                "safety hazards", "any safety hazards",
            ]
        case .callbackNumber:
            [
                "callback number", "call back number", "call back phone number", "callback phone number", "phone",
                "phone number", "contact number", "best phone number", "mobile number", "cell phone",
            ]
        }
    }

    private static let byWording: [String: AnswerKey] = {
        var table: [String: AnswerKey] = [:]
        for key in allCases {
            for wording in key.wordings {
                precondition(table.updateValue(key, forKey: wording) == nil, "\(wording) means two things")
            }
        }
        return table
    }()
}

/// The answers of one invitee: known ones by key, the rest by their question's own text.
package enum Answers {
    /// Of two questions with one meaning, the first that has an answer gets the key, and the other keeps its own text.
    /// Empty answers say nothing and are left out. Checkbox answers stay joined by newlines.
    package static func mapped(_ answers: [InviteePayload.QuestionAndAnswer]) -> [String: String] {
        var mapped: [String: String] = [:]
        for item in answers {
            guard let answer = item.answer.nonBlank else { continue }
            let own = item.question.nonBlank ?? "?"
            if let key = AnswerKey(question: item.question), mapped[key.rawValue] == nil {
                mapped[key.rawValue] = answer
            } else if let present = mapped[own] {
                // The same unknown question twice: keep both.
                mapped[own] = present + "\n" + answer
            } else {
                mapped[own] = answer
            }
        }
        return mapped
    }
}
