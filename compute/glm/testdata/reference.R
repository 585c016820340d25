# Reference fits of compute/glm, by R and its packages MASS and stats:
#   Rscript reference.R > reference.json
# The data are made of whole-number arithmetic, as in synthetic() of
# reference_test.go, so that both have the same bits.
suppressMessages(library(MASS))
options(digits = 17, warn = 1)
state <- 20261122
u <- function() { state <<- (state * 16807) %% 2147483647; state / 2147483647 }
n <- 400
d <- data.frame(a = numeric(n), b = 0, c = "", d = "", logt = 0, w = 0, site = 0, y = 0, pos = 0, count = 0, bin = 0)
for (i in 1:n) {
  a <- floor(u() * 1000) / 100
  b <- floor(u() * 1000) / 50 - 10
  r <- u(); c <- if (r < 0.4) "u" else if (r < 0.75) "v" else "w"
  e <- if (u() < 0.5) "x" else "z"
  logt <- floor(u() * 1000) / 500
  w <- floor(u() * 4)
  site <- floor(u() * 6)
  v <- if (c == "v") 1 else 0
  k <- if (c == "w") 1 else 0
  y <- 2 + 0.5 * a - 0.2 * b + 1.5 * v + 0.1 * a * k + 0.4 * site + (u() + u() + u() + u() - 2) * 3
  s <- u()
  pos <- (1 + 0.3 * a + v) * (0.1 + s * s * 3)
  s <- u()
  count <- floor(0.3 * (1 + 0.3 * a) * (1 + 0.6 * v) * (1 + 0.25 * site) * (1 + logt) * (s * s * 2) + u())
  bin <- if (u() < 0.1 + 0.05 * a + 0.2 * k + 0.04 * site) 1 else 0
  d[i, ] <- list(a, b, c, e, logt, w, site, y, pos, count, bin)
}
d$c <- factor(d$c); d$d <- factor(d$d); d$f <- factor(d$site)
eps <- glm.control(epsilon = 1e-15, maxit = 200)
# Fisher scoring for the gamma and the negative binomial family converges slowly
# near the end, and glm stops by the deviance: it is started again from its end.
glm <- function(...) {
  call <- match.call(); call[[1]] <- quote(stats::glm); call$control <- quote(eps)
  m <- eval(call, parent.frame())
  for (i in 1:10) { call$start <- coef(m); m <- eval(call, parent.frame()) }
  m
}
out <- list()
put <- function(name, x) out[[name]] <<- as.numeric(x)
fit <- function(name, m, keep = names(coef(m))) {
  s <- summary(m)$coefficients
  put(paste0(name, ".coef"), s[keep, 1]); put(paste0(name, ".se"), s[keep, 2]); put(paste0(name, ".p"), s[keep, 4])
  put(paste0(name, ".loglik"), logLik(m)); put(paste0(name, ".aic"), AIC(m)); put(paste0(name, ".bic"), BIC(m))
  put(paste0(name, ".deviance"), deviance(m)); put(paste0(name, ".df"), df.residual(m))
}
slopes <- c("a", "b", "cv", "cw")
null <- function(name, m) put(paste0(name, ".null"), m$null.deviance)
# sandwich::vcovCL(m, cluster, type = "HC0"), by its definition.
cluster <- function(name, m, keep = names(coef(m))) {
  X <- model.matrix(m)
  if (inherits(m, "glm")) {
    work <- residuals(m, "working") * m$weights
    score <- X * work
    bread <- solve(crossprod(X, X * m$weights))
  } else {
    w <- if (is.null(weights(m))) rep(1, nrow(X)) else weights(m)
    score <- X * (w * residuals(m)); bread <- solve(crossprod(X, X * w))
  }
  total <- rowsum(score, d$site[as.integer(rownames(X))])
  G <- nrow(total)
  V <- bread %*% crossprod(total) %*% bread * G / (G - 1)
  put(paste0(name, ".robust"), sqrt(diag(V))[match(keep, colnames(X))])
}
wald <- function(name, m, terms) { # chi-squared
  b <- coef(m)[terms]; put(paste0(name, ".wald"), t(b) %*% solve(vcov(m)[terms, terms]) %*% b)
}

m <- lm(y ~ a + b + c, d); fit("gaussian", m); cluster("gaussian", m); wald("gaussian", m, c("cv", "cw"))
put("gaussian.null", sum((d$y - mean(d$y))^2)); put("gaussian.f", summary(m)$fstatistic[1])
m <- glm(y ~ a + b + c + a:c, data = d, weights = w, offset = logt, subset = w > 0); fit("gaussian_weights", m); null("gaussian_weights", m); cluster("gaussian_weights", m)
m <- glm(y ~ a + c * d, data = d); fit("gaussian_levels", m); null("gaussian_levels", m)
m <- lm(y ~ a + b + c + f, d); fit("gaussian_fixed", m, slopes); cluster("gaussian_fixed", m, slopes)
m <- glm(bin ~ a + b + c, binomial, d); fit("binomial", m); null("binomial", m); cluster("binomial", m); wald("binomial", m, c("cv", "cw"))
m <- glm(bin ~ a + b + c, binomial, d, weights = w, subset = w > 0); fit("binomial_weights", m); null("binomial_weights", m)
m <- glm(bin ~ a + b + c + f, binomial, d); fit("binomial_fixed", m, slopes); cluster("binomial_fixed", m, slopes)
m <- glm(count ~ a + b + c + offset(logt), poisson, d); fit("poisson", m); null("poisson", m); cluster("poisson", m)
m <- glm(count ~ a + b + c + offset(10 * logt - 5), poisson, d); fit("poisson_far", m); null("poisson_far", m)
m <- glm(count ~ a + b + c, poisson, d, weights = w, subset = w > 0); fit("poisson_weights", m); null("poisson_weights", m)
m <- glm(count ~ a + b + c + f + offset(logt), poisson, d); fit("poisson_fixed", m, slopes); cluster("poisson_fixed", m, slopes)
m <- glm(pos ~ a + b + c, Gamma("log"), d); fit("gamma", m); null("gamma", m); cluster("gamma", m); put("gamma.dispersion", summary(m)$dispersion)
m <- glm(pos ~ a + b + c, Gamma("log"), d, weights = w, subset = w > 0); fit("gamma_weights", m); null("gamma_weights", m)
m <- glm(pos ~ a + b + c + f, Gamma("log"), d); fit("gamma_fixed", m, slopes)

# glm.nb stops at 1e-8 of theta: its alternation is carried on here.
nb <- function(name, formula, weights = rep(1, n), keep = NULL) {
  d$ww <- weights
  theta <- glm.nb(formula, data = d, weights = ww)$theta
  for (i in 1:40) {
    m <- glm(formula, family = negative.binomial(theta), data = d, weights = ww)
    mu <- fitted(m); y <- d$count; w <- weights
    for (j in 1:20) {
      score <- sum(w * (digamma(theta + y) - digamma(theta) + log(theta) + 1 - log(theta + mu) - (y + theta) / (mu + theta)))
      info <- sum(w * (-trigamma(theta + y) + trigamma(theta) - 1 / theta + 2 / (mu + theta) - (y + theta) / (mu + theta)^2))
      theta <- theta + score / info
    }
  }
  s <- summary(m, dispersion = 1)$coefficients
  if (is.null(keep)) keep <- rownames(s)
  loglik <- sum(w * dnbinom(y, size = theta, mu = mu, log = TRUE))
  put(paste0(name, ".coef"), s[keep, 1]); put(paste0(name, ".se"), s[keep, 2]); put(paste0(name, ".p"), s[keep, 4])
  put(paste0(name, ".theta"), c(theta, sqrt(1 / info))); put(paste0(name, ".loglik"), loglik)
  k <- length(coef(m)) + 1
  put(paste0(name, ".aic"), 2 * k - 2 * loglik); put(paste0(name, ".bic"), log(sum(w > 0)) * k - 2 * loglik)
  put(paste0(name, ".deviance"), deviance(m)); put(paste0(name, ".null"), m$null.deviance); put(paste0(name, ".df"), df.residual(m))
  cluster(name, m, keep)
}
nb("nb", count ~ a + b + c + offset(logt))
nb("nb_weights", count ~ a + b + c, d$w + 1)
nb("nb_fixed", count ~ a + b + c + f + offset(logt), keep = slopes)

# Random intercept, restricted maximum likelihood, by the dense covariance.
reml <- function(name, w = rep(1, n)) {
  use <- w > 0; dd <- d[use, ]; w <- w[use]
  X <- model.matrix(~ a + b + c, dd); y <- dd$y; Z <- model.matrix(~ 0 + factor(site), dd); p <- ncol(X); N <- nrow(X)
  at <- function(ratio) {
    V <- diag(1 / w) + ratio * tcrossprod(Z); R <- chol(V)
    A <- backsolve(R, X, transpose = TRUE); z <- backsolve(R, y, transpose = TRUE)
    beta <- solve(crossprod(A), crossprod(A, z)); rss <- sum((z - A %*% beta)^2)
    list(beta = beta, s2 = rss / (N - p), V = solve(crossprod(A)) * rss / (N - p),
         crit = (N - p) * (1 + log(2 * pi * rss / (N - p))) + 2 * sum(log(diag(R))) + as.numeric(determinant(crossprod(A))$modulus))
  }
  # A minimum is flat: the root of the derivative, by central differences, is sharper.
  slope <- function(l) (at(exp(l + 1e-3))$crit - at(exp(l - 1e-3))$crit)
  l <- uniroot(slope, c(-6, 3), tol = 1e-13)$root
  o <- at(exp(l))
  put(paste0(name, ".coef"), o$beta); put(paste0(name, ".se"), sqrt(diag(o$V)))
  put(paste0(name, ".variances"), c(exp(l) * o$s2, o$s2)); put(paste0(name, ".loglik"), -o$crit / 2)
}
reml("reml"); reml("reml_weights", d$w)

# The mean of the sites' intercepts, weighted with their patients.
average <- function(name, m) {
  share <- tapply(rep(1, n), d$site, sum) / n
  k <- names(coef(m)); L <- ifelse(k == "(Intercept)", 1, 0); L[grep("^f", k)] <- share[-1]
  put(paste0(name, ".average"), c(sum(L * coef(m)), sqrt(drop(L %*% vcov(m) %*% L))))
}
average("gaussian_fixed", lm(y ~ a + b + c + f, d))
average("binomial_fixed", glm(bin ~ a + b + c + f, binomial, d))
average("poisson_fixed", glm(count ~ a + b + c + f + offset(logt), poisson, d))
average("gamma_fixed", glm(pos ~ a + b + c + f, Gamma("log"), d))

# Random intercept of other outcomes: each site's integral by integrate().
mixed <- function(name, link, dens) {
  X <- model.matrix(~ a + b + c, d)
  negative <- function(q) tryCatch(suppressWarnings(exact(q)), error = function(e) 1e6)
  exact <- function(q) {
    beta <- q[1:5]; sd <- exp(q[6]); eta <- drop(X %*% beta); total <- 0
    for (s in unique(d$site)) {
      i <- d$site == s
      h <- function(u) sum(dens(i, eta[i] + sd * u)) - u^2 / 2
      o <- optimize(h, c(-8, 8), maximum = TRUE, tol = 1e-10)
      g <- function(u) sapply(u, function(v) exp(h(v) - o$objective))
      total <- total + o$objective + log(integrate(g, o$maximum - 8, o$maximum + 8, rel.tol = 1e-12, subdivisions = 500)$value) - log(2 * pi) / 2
    }
    -total
  }
  start <- c(coef(glm(link$formula, link$family, d)), log(0.3))
  o <- optim(start, negative, method = "BFGS", control = list(reltol = 1e-15, maxit = 500))
  o <- optim(o$par, negative, method = "BFGS", control = list(reltol = 1e-16, maxit = 500), hessian = TRUE)
  # Variances by sd itself, at which the slopes' block of the inverse is the same.
  put(paste0(name, ".coef"), o$par[1:5]); put(paste0(name, ".se"), sqrt(diag(solve(o$hessian)))[1:5])
  put(paste0(name, ".variance"), exp(2 * o$par[6])); put(paste0(name, ".loglik"), -o$value)
}
mixed("binomial_random", list(formula = bin ~ a + b + c, family = binomial), function(i, eta) dbinom(d$bin[i], 1, plogis(eta), log = TRUE))
mixed("poisson_random", list(formula = count ~ a + b + c, family = poisson), function(i, eta) dpois(d$count[i], exp(eta), log = TRUE))

# With a dispersion k, theta or the shape, all by maximum likelihood: Newton's
# method by Richardson's derivatives of the sites' integrals. glmmTMB 1.1.5,
#   glmmTMB(count ~ a + b + c + (1 | f), d, nbinom2)
#   glmmTMB(rise ~ a + b + c + (1 | f), d, Gamma("log"))
# maximises the same likelihood by Laplace's method: intercept, a, b, cv, cw,
# variance between sites, theta or shape, log-likelihood
#   nb    -0.3964536744 0.1460543307 0.006273818489 0.5070068156 0.06184591140 0.0941166 1.8607810 -709.5339532
#   gamma  0.8666079156 0.09073453388 0.004840846151 0.4532057667 0.1207608983 0.0689288 1.2636308 -999.9557715
# The rest of a site's likelihood is close to normal, but not normal.
d$rise <- d$pos * (1 + 0.25 * d$site)
dispersed <- function(name, y, start, dens) {
  X <- model.matrix(~ a + b + c, d)
  negative <- function(q) {
    beta <- q[1:5]; sd <- exp(q[6]); k <- exp(q[7]); eta <- drop(X %*% beta)
    -sum(sapply(split(1:n, d$site), function(i) {
      h <- function(u) sum(dens(y[i], exp(eta[i] + sd * u), k)) - u^2 / 2
      o <- optimize(h, c(-12, 12), maximum = TRUE, tol = 1e-10)
      g <- function(u) sapply(u, function(v) exp(h(v) - o$objective))
      half <- function(from) integrate(g, from, from + 8, rel.tol = 1e-12, abs.tol = 0, subdivisions = 2000)$value
      log(half(o$maximum - 8) + half(o$maximum)) + o$objective - log(2 * pi) / 2
    }))
  }
  q <- start
  for (step in 1:8) {
    slope <- numDeriv::grad(negative, q, method.args = list(eps = 1e-3, d = 1e-2, r = 5))
    curve <- numDeriv::hessian(negative, q, method.args = list(eps = 1e-3, d = 2e-2, r = 5))
    q <- q - solve(curve, slope)
  }
  V <- solve(curve)
  put(paste0(name, ".coef"), q[1:5]); put(paste0(name, ".se"), sqrt(diag(V))[1:5])
  put(paste0(name, ".variance"), exp(2 * q[6])); put(paste0(name, ".loglik"), -negative(q))
  put(paste0(name, ".theta"), c(exp(q[7]), exp(q[7]) * sqrt(V[7, 7])))
}
dispersed("nb_random", d$count, c(-0.4, 0.15, 0, 0.5, 0.06, -1.2, 0.6), function(y, mu, k) dnbinom(y, size = k, mu = mu, log = TRUE))
dispersed("gamma_random", d$rise, c(0.87, 0.09, 0, 0.45, 0.12, -1.3, 0.23), function(y, mu, k) dgamma(y, shape = k, scale = mu / k, log = TRUE))

cat("{\n", paste(sapply(names(out), function(k) paste0("\"", k, "\": [", paste(sprintf("%.17g", out[[k]]), collapse = ", "), "]")), collapse = ",\n"), "\n}\n", sep = "")
