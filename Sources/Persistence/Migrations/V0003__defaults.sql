-- breaking: no
-- Neff Paving's own rules, as they are when the company has changed nothing.

insert into consultation_types
    (kind, name, duration_minutes, buffer_before_minutes, buffer_after_minutes, notice_minutes, horizon_days, any_hour)
values
    ('residential', 'Residential Consultation', 60, 15, 15, 240, 180, false),
    ('commercial', 'Commercial Consultation', 90, 30, 30, 240, 180, false),
    ('maintenance', 'Maintenance Consultation', 45, 15, 15, 240, 180, false),
    ('emergency', 'Emergency Service Call', 30, 0, 0, 0, 3, true),
    ('triage', 'Unknown consultation', 60, 15, 15, 240, 180, false);

insert into service_types
    (code, name, category, duration_minutes, buffer_before_minutes, buffer_after_minutes, equipment_types, any_hour)
values
    ('residential_paving', 'Residential paving', 'residential', 360, 30, 30, '{paver,roller}', false),
    ('commercial_paving', 'Commercial paving', 'commercial', 480, 30, 30, '{paver,roller,truck}', false),
    ('sealcoating', 'Sealcoating', 'maintenance', 240, 30, 30, '{sealcoat_rig}', false),
    ('patching', 'Patching and crack repair', 'maintenance', 180, 15, 15, '{}', false),
    ('emergency_repair', 'Emergency repair', 'emergency', 120, 0, 15, '{}', true);

insert into business_hours (weekday, opens, closes)
select weekday, '07:00', '17:00' from generate_series(1, 5) as weekday;
