# The numbers that TestClocksUnderStrataAreThoseOfR compares with: R's survival
# 3.5-3 or later,
#   Rscript strata.R veteran.csv > strata.json
# Hospitals are made up: patient i is at hospital i modulo 3. With step 1, the grid
# is as fine as the times, and transform is R's own; with a coarser one it is the same
# function of the times taken up to the grid, while the fit keeps the exact times.
suppressMessages(library(survival))
d <- read.csv(commandArgs(TRUE)[1])
d$site <- (seq_len(nrow(d)) - 1) %% 3
num <- function(x) paste0("[", paste(sprintf("%.17g", x), collapse = ","), "]")
out <- character()
for (ties in c("efron", "breslow")) for (step in c(1, 40)) for (name in c("km", "rank")) {
  fit <- coxph(Surv(time, status) ~ trt + karno + age + strata(site), d, ties = ties,
    control = coxph.control(eps = 1e-14, toler.chol = 1e-15, iter.max = 60))
  up <- function(x) ceiling(x / step) * step
  own <- if (name == "rank") function(x) rank(up(x)) else function(x) {
    km <- survfit(Surv(up(x), d$status) ~ 1)
    1 - c(1, km$surv)[findInterval(up(x), km$time, left.open = TRUE) + 1]
  }
  z <- if (step == 1) cox.zph(fit, transform = name) else cox.zph(fit, transform = own)
  out <- c(out, sprintf('{"ties":"%s","step":%g,"transform":"%s","coef":%s,"zph":%s}', ties, step, name, num(coef(fit)), num(z$table[, 1])))
}
cat("[", paste(out, collapse = ",\n"), "]\n", sep = "")
