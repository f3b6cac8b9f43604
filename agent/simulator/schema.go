package simulator

// Kind is the type of a column. It decides how a value is compared in a query,
// how it is shown and whether it is stored at all.
type Kind int

// The kinds of columns that the simulator knows.
const (
	String    Kind = iota // any text
	Integer               // compared as a number
	Boolean               // "true" or "false"
	DateTime              // UTC, "2006-01-02 15:04:05"
	Reference             // sys_id of a row of Column.Ref
	Journal               // writes append to sys_journal_field, reads give ""
)

// Choice is one value of a choice column with the label that display values show.
type Choice struct{ Value, Label string }

// Column describes one column of a table.
type Column struct {
	Name    string
	Label   string // used in data policy messages; the name when empty
	Kind    Kind
	Ref     string   // the table that a Reference points to
	Default string   // value of a new record
	Max     int      // longest value in characters; longer ones are cut silently; 0 is unbounded
	Choices []Choice // labels; values outside are stored as they come
}

// Policy is a data policy: while a record matches When (an encoded query), the
// Mandatory columns may not be empty.
type Policy struct {
	When      string
	Mandatory []string
}

// ACL names the roles that may act on a table. The role admin may always, the
// name "*" means every user that is logged in, an empty list means nobody else.
type ACL struct {
	Read   []string `json:"read"`
	Insert []string `json:"insert"`
	Write  []string `json:"write"`
	Delete []string `json:"delete"`
	// ReadIf is an encoded query: rows outside it are hidden from everybody but
	// admin. Hidden rows still count against limits and in X-Total-Count, as on
	// a real instance (Table API documentation: limits apply before ACLs).
	ReadIf string `json:"read_if"`
}

// Table defines a table as data. A table that extends another inherits its
// columns, and its records are found through the parent too.
type Table struct {
	Name     string
	Extends  string
	Display  string // the column that reference fields show
	Number   string // prefix of the column "number", for example INC
	Columns  []Column
	Policies []Policy
	ACL      ACL
}

// Positions of the columns that every table has.
const (
	colID = iota
	colCreatedOn
	colCreatedBy
	colUpdatedOn
	colUpdatedBy
	colModCount
	colDomain
	colDomainPath
	colClass
)

// baseColumns are the first columns of every table, in the order of the
// constants above.
func baseColumns() []Column {
	return []Column{
		{Name: "sys_id", Max: 32},
		{Name: "sys_created_on", Kind: DateTime},
		{Name: "sys_created_by", Max: 40},
		{Name: "sys_updated_on", Kind: DateTime},
		{Name: "sys_updated_by", Max: 40},
		{Name: "sys_mod_count", Kind: Integer},
		{Name: "sys_domain", Kind: Reference, Ref: "sys_user_group", Default: "global"},
		{Name: "sys_domain_path", Default: "/"},
		{Name: "sys_class_name"},
	}
}
