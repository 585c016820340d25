# The numbers that TestWeightsAreThoseOfR compares with: R's survival 3.5-3 or later,
#   Rscript weights.R veteran.csv > weights.json
# Patients weigh by the type of their tumour. Times are taken up to months, so that
# many are tied; hospitals are made up.
suppressMessages(library(survival))
d <- read.csv(commandArgs(TRUE)[1])
d$time <- ceiling(d$time / 30) * 30
d$site <- (seq_len(nrow(d)) - 1) %% 3
d$w <- c(adeno = 0.7, large = 1.9, smallcell = 1.25, squamous = 0.4)[as.character(d$celltype)]
num <- function(x) paste0("[", paste(sprintf("%.17g", x), collapse = ","), "]")
fits <- character()
for (ties in c("efron", "breslow")) for (strat in c("site", "none")) {
  f <- if (strat == "site") Surv(time, status) ~ trt + karno + age + strata(site) else Surv(time, status) ~ trt + karno + age
  control <- coxph.control(eps = 1e-14, toler.chol = 1e-14, iter.max = 60)
  fit <- coxph(f, d, weights = w, ties = ties, control = control, robust = FALSE)
  rob <- coxph(f, d, weights = w, ties = ties, control = control, cluster = site)
  own <- coxph(f, d, weights = w, ties = ties, control = control) # robust, as R has it for weights
  stopifnot(!is.null(own$naive.var))
  z <- cox.zph(fit, transform = "identity")
  hazard <- "[]"
  if (strat == "none") {
    # The cumulative baseline hazard of the patient with the plain mean of every
    # column, each tied event with the mean weight of those who have it then.
    x <- model.matrix(~ trt + karno + age, d)[, -1]
    u <- d$w * exp(drop(sweep(x, 2, colMeans(x)) %*% coef(fit)))
    ends <- sort(unique(d$time[d$status == 1]))
    steps <- sapply(ends, function(t) {
      dead <- d$time == t & d$status == 1
      k <- sum(dead)
      phi <- if (ties == "efron") (seq_len(k) - 1) / k else rep(0, k)
      sum(mean(d$w[dead]) / (sum(u[d$time >= t]) - phi * sum(u[dead])))
    })
    hazard <- num(cumsum(steps))
  }
  fits <- c(fits, sprintf('{"ties":"%s","stratify":"%s","coef":%s,"se":%s,"robust":%s,"patients":%s,"wald":%s,"loglik":%s,"score":%s,"zph":%s,"hazard":%s}',
    ties, strat, num(coef(fit)), num(sqrt(diag(fit$var))), num(sqrt(diag(rob$var))), num(sqrt(diag(own$var))), num(own$wald.test), num(fit$loglik), num(fit$score), num(z$table[, 1]), hazard))
}
cat("[", paste(fits, collapse = ",\n"), "]\n", sep = "")
