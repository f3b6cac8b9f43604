package simulator

// defaultTables returns the tables of a new instance. Parents come first.
func defaultTables() []Table {
	out := []Table{eccQueue(), eccAgent()}
	out = append(out, platformTables()...)
	out = append(out, taskTables()...)
	return append(out, cmdbTables()...)
}

// eccQueue has the column set that the Table API returns for ecc_queue. The
// lengths are documented for name (120) and payload (16 MB) only.
func eccQueue() Table {
	return Table{
		Name: "ecc_queue", Display: "topic",
		Columns: []Column{
			{Name: "agent", Max: 255},
			{Name: "topic", Max: 255},
			{Name: "name", Max: 120},
			{Name: "source", Max: 255},
			{Name: "queue", Max: 40, Choices: []Choice{{"output", "output"}, {"input", "input"}}},
			{Name: "state", Max: 40, Default: "ready", Choices: []Choice{
				{"ready", "ready"}, {"processing", "processing"}, {"processed", "processed"}, {"error", "error"}, {"cancelled", "cancelled"},
			}},
			{Name: "priority", Kind: Integer, Default: "2", Choices: []Choice{{"0", "Interactive"}, {"1", "Expedited"}, {"2", "Standard"}}},
			{Name: "sequence", Max: 40},
			{Name: "payload", Max: 16 << 20},
			{Name: "response_to", Kind: Reference, Ref: "ecc_queue"},
			{Name: "agent_correlator", Max: 255},
			{Name: "from_host", Max: 255},
			{Name: "from_sys_id", Max: 32},
			{Name: "error_string", Max: 4000},
			{Name: "processed", Kind: DateTime},
			{Name: "signature", Max: 4000},
		},
		ACL: ACL{Read: []string{"mid_server"}, Insert: []string{"mid_server"}},
	}
}

func eccAgent() Table {
	return Table{
		Name: "ecc_agent", Display: "name",
		Columns: []Column{
			{Name: "name", Max: 100},
			{Name: "status", Default: "Down", Max: 40},
			{Name: "validated", Default: "false", Max: 40},
			{Name: "version", Max: 255},
			{Name: "host_name", Max: 255},
			{Name: "ip_address", Max: 255},
			{Name: "host_type", Max: 255},
			{Name: "os_name", Max: 255},
			{Name: "user_name", Max: 255},
			{Name: "started", Kind: DateTime},
			{Name: "stopped", Kind: DateTime},
			{Name: "last_refreshed", Kind: DateTime},
			{Name: "public_key", Max: 4000},
		},
		ACL: ACL{Read: []string{"mid_server", "itil"}, Insert: []string{"mid_server"}, Write: []string{"mid_server"}},
	}
}

func platformTables() []Table {
	all := []string{"*"}
	return []Table{
		{
			Name: "sys_user", Display: "name",
			Columns: []Column{
				{Name: "user_name", Max: 40},
				{Name: "name", Max: 151},
				{Name: "email", Max: 100},
				{Name: "active", Kind: Boolean, Default: "true"},
				{Name: "locked_out", Kind: Boolean, Default: "false"},
				{Name: "time_zone", Max: 40},
				{Name: "web_service_access_only", Kind: Boolean, Default: "false"},
				{Name: "internal_integration_user", Kind: Boolean, Default: "false"},
			},
			ACL: ACL{Read: all},
		},
		{Name: "sys_user_group", Display: "name", Columns: []Column{{Name: "name", Max: 80}}, ACL: ACL{Read: all}},
		{
			Name: "sys_properties", Display: "name",
			Columns: []Column{{Name: "name", Max: 100}, {Name: "value", Max: 4000}, {Name: "description", Max: 4000}},
		},
		{
			Name: "sys_attachment", Display: "file_name",
			Columns: []Column{
				{Name: "file_name", Max: 100},
				{Name: "content_type", Max: 700},
				{Name: "size_bytes", Kind: Integer},
				{Name: "size_compressed", Kind: Integer},
				{Name: "compressed", Kind: Boolean, Default: "true"},
				{Name: "table_name", Max: 80},
				{Name: "table_sys_id", Max: 32},
				{Name: "hash", Max: 64},
				{Name: "state", Default: "pending", Max: 40},
				{Name: "chunk_size_bytes", Kind: Integer, Default: "700000"},
			},
			ACL: ACL{Read: all, Delete: []string{"mid_server", "itil"}},
		},
		{
			// An itil user is told the true number of entries but is given none
			// of them: the rows are cut after the count.
			Name: "sys_journal_field", Display: "element_id",
			Columns: []Column{
				{Name: "name", Max: 80},
				{Name: "element", Max: 80},
				{Name: "element_id", Max: 32},
				{Name: "value", Max: 4000},
			},
			ACL: ACL{Read: all, ReadIf: "sys_id=none"},
		},
	}
}

func itilACL() ACL {
	r := []string{"itil"}
	return ACL{Read: r, Insert: r, Write: r}
}

func taskTables() []Table {
	closed := []Choice{{"-5", "Pending"}, {"1", "Open"}, {"2", "Work in Progress"}, {"3", "Closed Complete"}, {"4", "Closed Incomplete"}, {"7", "Closed Skipped"}}
	return []Table{
		{
			Name: "task", Display: "number", Number: "TASK", ACL: itilACL(),
			Columns: []Column{
				{Name: "number", Max: 40},
				{Name: "short_description", Max: 160},
				{Name: "description", Max: 4000},
				{Name: "state", Kind: Integer, Default: "1", Choices: closed},
				{Name: "active", Kind: Boolean, Default: "true"},
				{Name: "priority", Kind: Integer, Default: "4", Choices: []Choice{{"1", "1 - Critical"}, {"2", "2 - High"}, {"3", "3 - Moderate"}, {"4", "4 - Low"}, {"5", "5 - Planning"}}},
				{Name: "assigned_to", Kind: Reference, Ref: "sys_user"},
				{Name: "assignment_group", Kind: Reference, Ref: "sys_user_group"},
				{Name: "opened_at", Kind: DateTime},
				{Name: "opened_by", Kind: Reference, Ref: "sys_user"},
				{Name: "closed_at", Kind: DateTime},
				{Name: "cmdb_ci", Kind: Reference, Ref: "cmdb_ci"},
				{Name: "parent", Kind: Reference, Ref: "task"},
				{Name: "correlation_id", Max: 100},
				{Name: "correlation_display", Max: 100},
				{Name: "comments", Kind: Journal},
				{Name: "work_notes", Kind: Journal},
				{Name: "close_notes", Label: "Close notes", Max: 4000},
			},
		},
		{
			Name: "incident", Extends: "task", Display: "number", Number: "INC", ACL: itilACL(),
			Columns: []Column{
				{Name: "state", Kind: Integer, Default: "1", Choices: []Choice{{"1", "New"}, {"2", "In Progress"}, {"3", "On Hold"}, {"6", "Resolved"}, {"7", "Closed"}, {"8", "Canceled"}}},
				{Name: "incident_state", Kind: Integer, Default: "1"},
				{Name: "caller_id", Kind: Reference, Ref: "sys_user"},
				{Name: "category", Max: 40, Default: "inquiry"},
				{Name: "impact", Kind: Integer, Default: "3"},
				{Name: "urgency", Kind: Integer, Default: "3"},
				{Name: "close_code", Label: "Resolution code", Max: 40},
			},
			Policies: []Policy{{When: "stateIN6,7", Mandatory: []string{"close_code", "close_notes"}}},
		},
		{
			Name: "sc_request", Extends: "task", Display: "number", Number: "REQ", ACL: itilACL(),
			Columns: []Column{
				{Name: "request_state", Max: 40, Default: "requested"},
				{Name: "requested_for", Kind: Reference, Ref: "sys_user"},
				{Name: "stage", Max: 40, Default: "requested"},
			},
		},
		{
			Name: "sc_req_item", Extends: "task", Display: "number", Number: "RITM", ACL: itilACL(),
			Columns: []Column{
				{Name: "request", Kind: Reference, Ref: "sc_request"},
				{Name: "stage", Max: 40, Default: "request_approved"},
				{Name: "quantity", Kind: Integer, Default: "1"},
			},
		},
		{
			Name: "sc_task", Extends: "task", Display: "number", Number: "SCTASK", ACL: itilACL(),
			Columns: []Column{
				{Name: "request", Kind: Reference, Ref: "sc_request"},
				{Name: "request_item", Kind: Reference, Ref: "sc_req_item"},
			},
		},
	}
}

func cmdbTables() []Table {
	return []Table{
		{
			Name: "cmdb_ci", Display: "name", ACL: itilACL(),
			Columns: []Column{
				{Name: "name", Max: 255},
				{Name: "short_description", Max: 1000},
				{Name: "serial_number", Max: 255},
				{Name: "asset_tag", Max: 40},
				{Name: "ip_address", Max: 255},
				{Name: "mac_address", Max: 18},
				{Name: "fqdn", Max: 255},
				{Name: "category", Max: 40},
				{Name: "operational_status", Kind: Integer, Default: "1", Choices: []Choice{{"1", "Operational"}, {"2", "Non-Operational"}, {"6", "Retired"}}},
				{Name: "install_status", Kind: Integer, Default: "1", Choices: []Choice{{"1", "Installed"}, {"7", "Retired"}}},
				{Name: "managed_by", Kind: Reference, Ref: "sys_user"},
				{Name: "support_group", Kind: Reference, Ref: "sys_user_group"},
				{Name: "discovery_source", Max: 40},
				{Name: "last_discovered", Kind: DateTime},
				{Name: "correlation_id", Max: 512},
			},
		},
		{
			Name: "cmdb_ci_server", Extends: "cmdb_ci", Display: "name", ACL: itilACL(),
			Columns: []Column{
				{Name: "os", Max: 100},
				{Name: "os_version", Max: 255},
				{Name: "cpu_count", Kind: Integer},
				{Name: "ram", Kind: Integer},
				{Name: "host_name", Max: 100},
				{Name: "used_for", Max: 40, Default: "Production"},
				{Name: "virtual", Kind: Boolean, Default: "false"},
			},
		},
		{
			Name: "cmdb_ci_linux_server", Extends: "cmdb_ci_server", Display: "name", ACL: itilACL(),
			Columns: []Column{{Name: "kernel_release", Max: 255}},
		},
	}
}
