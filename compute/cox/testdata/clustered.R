# The numbers that TestConcordanceClusteredByHospital compares with: R's survival
# 3.5-3 or later,
#   Rscript clustered.R veteran.csv > clustered.json
# Hospitals are made up: patient i is at hospital i modulo their number.
suppressMessages(library(survival))
d <- read.csv(commandArgs(TRUE)[1])
control <- coxph.control(eps = 1e-14, toler.chol = 1e-14, iter.max = 60)
num <- function(x) sprintf("%.17g", x)
out <- character()
for (sites in c(3, 6)) {
  d$site <- (seq_len(nrow(d)) - 1) %% sites
  for (strat in c("site", "none")) {
    f <- if (strat == "site") Surv(time, status) ~ trt + karno + age + strata(site) else Surv(time, status) ~ trt + karno + age
    d$lp <- drop(as.matrix(d[c("trt", "karno", "age")]) %*% coef(coxph(f, d, control = control)))
    one <- concordance(Surv(time, status) ~ lp + strata(site), d, reverse = TRUE)
    all <- concordance(Surv(time, status) ~ lp + strata(site), d, reverse = TRUE, cluster = site)
    out <- c(out, sprintf('{"sites":%d,"stratify":"%s","estimate":%s,"se":%s,"clustered":%s}',
      sites, strat, num(all$concordance), num(sqrt(one$var)), num(sqrt(all$var))))
  }
}
cat("[", paste(out, collapse = ",\n"), "]\n", sep = "")
