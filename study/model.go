package study

// Model kinds.
const (
	Describe = "describe" // no model: the description only
	GLM      = "glm"
	Cox      = "cox"
	Boost    = "boost"
	Neural   = "neural"
)

// Families of a generalised linear model, with their links.
const (
	Gaussian         = "gaussian"          // identity
	Binomial         = "binomial"          // logit
	Poisson          = "poisson"           // log
	Gamma            = "gamma"             // log
	NegativeBinomial = "negative-binomial" // log; variance mu + mu^2/theta
)

// Model says what is computed.
type Model struct {
	Kind  string
	Ridge float64 // glm and cox: penalty lambda/2 * sum of squared coefficients without the intercept

	Family      string     // glm
	Offset      *Covariate // glm with a log link or gaussian: added to the linear predictor
	Weights     *Covariate // glm: prior weights, at least 0
	SiteEffects string     // glm: NoSiteEffects, FixedSiteEffects or RandomSiteEffects
	Robust      bool       // glm, cox: sandwich standard errors clustered by site
	ModelErrors bool       // the study writes standard_errors: model

	Interactions []Interaction // glm, cox and neural
	Splines      []Spline      // glm, cox and neural

	Stratify string // cox: StratifySite or StratifyNone
	Ties     string // cox: Efron or Breslow
	// TimeTransform is that of the time in the test of proportional hazards of a
	// cox model: TimeIdentity, TimeLog, TimeKM or TimeRank.
	TimeTransform string

	Boost  *BoostModel  // kind boost
	Neural *NeuralModel // kind neural
}

// Effects of the hospitals in a generalised linear model.
const (
	NoSiteEffects     = "none"
	FixedSiteEffects  = "fixed"  // one intercept a site, which stays at the site
	RandomSiteEffects = "random" // a normal intercept by site
)

// Strata and ties of a proportional hazards model.
const (
	StratifySite = "site"
	StratifyNone = "none" // one baseline, on the outcome's grid
	Efron        = "efron"
	Breslow      = "breslow"
)

// Transforms of time in the test of proportional hazards, as R's cox.zph has them.
const (
	TimeIdentity = "identity"
	TimeLog      = "log"
	TimeKM       = "km"   // one less the Kaplan-Meier estimate before the event
	TimeRank     = "rank" // among all times
)

// Covariate is a column that enters a model other than as a feature.
type Covariate struct {
	Column string
	Range  Range
}

// Interaction is the product of features, each a number or a category, by
// index into Study.Features.
type Interaction struct{ Features []int }

// Spline is a restricted cubic spline of a number: DF terms, one of them the
// number itself, with DF+1 knots at federated quantiles (Harrell, Regression
// Modeling Strategies, 2nd ed., section 2.4).
type Spline struct {
	Feature int
	DF      int
}

// Losses of boosted trees.
const (
	LossSquared  = "squared"
	LossLogistic = "logistic"
	LossPoisson  = "poisson"
	LossCox      = "cox"
)

// BoostModel are the settings of boosted trees.
type BoostModel struct {
	Loss         string
	Trees        int
	Depth        int
	Bins         int // per number, at most; one more is for missing values
	LearningRate float64
	MinLeaf      int            // patients in a leaf, over all sites
	Lambda       float64        // L2 penalty of leaf values
	Monotone     map[string]int // by column: +1 never falls, -1 never rises
	Patience     int            // early stopping: trees without improvement; 0 is never
	Fraction     float64        // of the training records that early stopping watches
	Baseline     bool           // of loss cox: Breslow's, on the outcome's grid
}

// Strategies of federated neural networks.
const (
	FedAvg   = "fedavg"
	FedProx  = "fedprox"
	Scaffold = "scaffold"
	FedAdam  = "fedadam"
	FedYogi  = "fedyogi"
	FedSGD   = "fedsgd"
)

// NeuralModel are the settings of a multilayer perceptron. Without hidden
// layers it is a linear or logistic model. The loss follows the outcome: squared
// error, log loss, or Poisson deviance.
type NeuralModel struct {
	Hidden     []int
	Activation string // relu or tanh
	Strategy   string
	Epochs     int // over the local records, per round
	Batch      int // records in a minibatch; 0 is all
	Optimizer  Optimizer
	Server     Optimizer   // of fedadam, fedyogi and fedsgd
	Proximal   float64     // mu of fedprox
	Clip       float64     // of each record's gradient, L2; 0 is none
	Decay      float64     // L2 penalty on weights
	Q          float64     // of q-FedAvg; 0 but in a fit of a mitigation
	GapWeights *GapWeights // of FairFed; nil but in a fit of a mitigation
	Seed       uint64
}

// Optimizer is a step rule.
type Optimizer struct {
	Name     string // sgd or adam; for a server also yogi
	Rate     float64
	Momentum float64 // of sgd
}

// Kinds of validation.
const (
	Holdout         = "holdout"
	KFold           = "k-fold"
	LeaveOneSiteOut = "leave-one-site-out"
	External        = "external"
)

// Validation says on which patients a model is tried that it was not fitted to.
type Validation struct {
	Kind     string
	Fraction float64  // holdout: of the patients, held out
	Folds    int      // k-fold
	By       string   // column that names the patient; empty: each record by itself
	Sites    []SiteID // external: hospitals that only validate
}

// byPatient reports whether each record has a fold.
func (v Validation) byPatient() bool { return v.Kind == Holdout || v.Kind == KFold }

// HeldOut is the fold of the records that a hold-out keeps from training; the
// others are in fold 1.
const HeldOut = 0

// KeepsMissing says that a record whose feature is missing takes part, with NaN
// in the feature's terms. Trees have a branch for it and a description counts
// it; other models need every feature.
func (s *Study) KeepsMissing() bool { return s.Model.Kind == Boost || s.Model.Kind == Describe }
