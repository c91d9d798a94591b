package access

// Bound says what holds a call within the caller's scopes.
type Bound uint8

const (
	// Nothing: what the call reads has no scope.
	Nothing Bound = iota
	// RequestScope: the request's scope must be one of the caller's, or below one.
	RequestScope
	// ListScope: the same of the scope of the list that the request names.
	ListScope
	// EachItem: the same of the scope of each item of a batch, a stream or a file. The handler checks it.
	EachItem
	// SubscriberScopes: the same of each scope of the filter of the subscriber that the request names, and of one of every scope
	// none. The handler checks it.
	SubscriberScopes
	// Filtered: the handler leaves out of the answer what is outside the caller's scopes, and the stories of what is above
	// them.
	Filtered
	// Unbounded: only callers that no scope bounds may call, because the answer cannot be divided by scope.
	Unbounded
)

// Rule says who may call one RPC.
type Rule struct {
	Roles Roles // any of these; 0: every caller that the server lets in
	Bound Bound
	Log   bool // personal data is read: it goes to the access log first
	Act   bool // an administrative act: a refusal is logged
}

// Rules has the rule of each RPC of the contract, by its full name. A caller with a grant may call no RPC that is missing here.
//
// To add an RPC, add its line here; TestEveryRPCHasARule walks the contract.
var Rules = map[string]Rule{
	"dnc.v1.CheckService/CheckNumber":  {Roles: RolesOf(Checker, Officer), Bound: RequestScope},
	"dnc.v1.CheckService/CheckNumbers": {Roles: RolesOf(Checker, Officer), Bound: RequestScope},
	"dnc.v1.CheckService/StreamChecks": {Roles: RolesOf(Checker, Officer), Bound: EachItem},

	"dnc.v1.RecordService/RecordOptOut":      {Roles: RolesOf(Recorder), Bound: RequestScope},
	"dnc.v1.RecordService/WithdrawOptOut":    {Roles: RolesOf(Recorder), Bound: RequestScope},
	"dnc.v1.RecordService/RecordConsent":     {Roles: RolesOf(Recorder, Officer), Bound: RequestScope},
	"dnc.v1.RecordService/WithdrawConsent":   {Roles: RolesOf(Recorder, Officer), Bound: RequestScope},
	"dnc.v1.RecordService/ImportRecords":     {Roles: RolesOf(Recorder, Loader, Officer), Bound: EachItem, Act: true},
	"dnc.v1.RecordService/ListRecordImports": {Roles: RolesOf(Recorder, Loader, Officer), Bound: Filtered},
	"dnc.v1.RecordService/GetNumber":         {Roles: RolesOf(Checker, Recorder, Officer), Bound: Filtered, Log: true},
	"dnc.v1.RecordService/ListHistory":       {Roles: RolesOf(Recorder, Officer), Bound: Filtered, Log: true},
	"dnc.v1.RecordService/ExportRecords":     {Roles: RolesOf(Officer), Bound: Filtered, Log: true},

	"dnc.v1.ListService/CreateList":   {Roles: RolesOf(Loader), Bound: RequestScope, Act: true},
	"dnc.v1.ListService/UpdateList":   {Roles: RolesOf(Loader), Bound: ListScope, Act: true},
	"dnc.v1.ListService/DeleteList":   {Roles: RolesOf(Loader), Bound: ListScope, Act: true},
	"dnc.v1.ListService/Import":       {Roles: RolesOf(Loader), Bound: ListScope, Act: true},
	"dnc.v1.ListService/RevertImport": {Roles: RolesOf(Loader), Bound: ListScope, Act: true},
	"dnc.v1.ListService/GetList":      {Bound: Filtered},
	"dnc.v1.ListService/ListLists":    {Bound: Filtered},
	"dnc.v1.ListService/ListImports":  {Roles: RolesOf(Loader, Officer), Bound: Filtered},
	"dnc.v1.ListService/Export":       {Roles: RolesOf(Loader, Officer), Bound: ListScope, Log: true},

	"dnc.v1.AdminService/GetStats": {Bound: Filtered},

	"dnc.v1.AuditService/AuditCalls": {Roles: RolesOf(Officer), Bound: EachItem, Log: true},

	"dnc.v1.PolicyService/GetPolicy":    {Bound: Nothing},
	"dnc.v1.PolicyService/SetPolicy":    {Roles: RolesOf(Admin), Bound: Unbounded, Act: true},
	"dnc.v1.PolicyService/ListPolicies": {Roles: RolesOf(Officer, Admin), Bound: Nothing},

	"dnc.v1.AccessService/CreateToken": {Roles: RolesOf(Admin), Bound: EachItem, Act: true},
	"dnc.v1.AccessService/RevokeToken": {Roles: RolesOf(Admin), Bound: EachItem, Act: true},
	"dnc.v1.AccessService/ListTokens":  {Roles: RolesOf(Admin, Officer), Bound: Filtered},
	"dnc.v1.AccessService/WhoAmI":      {},
	"dnc.v1.AccessService/ListAccess":  {Roles: RolesOf(Officer), Bound: Unbounded},
	"dnc.v1.AccessService/ListActs":    {Roles: RolesOf(Officer, Admin), Bound: Filtered},

	"dnc.v1.PropagationService/PutSubscriber":    {Roles: RolesOf(Admin), Bound: SubscriberScopes, Act: true},
	"dnc.v1.PropagationService/GetSubscriber":    {Roles: RolesOf(Subscriber, Officer, Admin), Bound: Filtered},
	"dnc.v1.PropagationService/ListSubscribers":  {Roles: RolesOf(Officer, Admin), Bound: Filtered},
	"dnc.v1.PropagationService/DeleteSubscriber": {Roles: RolesOf(Admin), Bound: SubscriberScopes, Act: true},
	"dnc.v1.PropagationService/CompareBase":      {Roles: RolesOf(Subscriber, Officer, Admin), Bound: SubscriberScopes, Log: true, Act: true},
	"dnc.v1.PropagationService/PutDesk":          {Roles: RolesOf(Admin), Bound: Unbounded, Act: true},
	"dnc.v1.PropagationService/ListDesks":        {Roles: RolesOf(Officer, Admin), Bound: Nothing},
	"dnc.v1.PropagationService/DeleteDesk":       {Roles: RolesOf(Admin), Bound: Unbounded, Act: true},
	"dnc.v1.PropagationService/GetReport":        {Roles: RolesOf(Officer), Bound: Unbounded},
	"dnc.v1.PropagationService/Watch":            {Roles: RolesOf(Subscriber, Officer, Admin), Bound: Filtered, Log: true},
	"dnc.v1.PropagationService/GetFeed":          {Roles: RolesOf(Subscriber, Officer, Admin), Bound: Filtered, Log: true},
	"dnc.v1.PropagationService/Acknowledge":      {Roles: RolesOf(Subscriber, Admin), Bound: Filtered},
	"dnc.v1.PropagationService/GetDossier":       {Roles: RolesOf(Officer), Bound: Filtered, Log: true},
	"dnc.v1.PropagationService/GetCheckpoint":    {Roles: RolesOf(Officer, Admin), Bound: Filtered},
}
