package rpc

import (
	"context"

	"github.com/consilium-fl/consilium/coordinator/internal/driver"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
)

type enrollment struct {
	consiliumv1.UnimplementedEnrollmentServiceServer
	driver *driver.Driver
}

func (s *enrollment) Enroll(_ context.Context, req *consiliumv1.EnrollRequest) (*consiliumv1.EnrollResponse, error) {
	return &consiliumv1.EnrollResponse{}, s.driver.Enroll(req.GetToken(), req.GetEnrolment())
}

func (s *enrollment) Admission(ctx context.Context, req *consiliumv1.AdmissionRequest) (*consiliumv1.AdmissionResponse, error) {
	certificate, rosters, err := s.driver.Admission(ctx, req.GetEnrolment())
	if err != nil || certificate == nil {
		return &consiliumv1.AdmissionResponse{}, err
	}
	return &consiliumv1.AdmissionResponse{Admitted: true, Certificate: certificate, Rosters: rosters}, nil
}

type membership struct {
	consiliumv1.UnimplementedMembershipServiceServer
	driver *driver.Driver
}

func (s *membership) Rosters(_ context.Context, req *consiliumv1.RostersRequest) (*consiliumv1.RostersResponse, error) {
	return &consiliumv1.RostersResponse{Rosters: s.driver.Rosters(req.GetAfter())}, nil
}

func (s *membership) RenewCertificate(ctx context.Context, req *consiliumv1.RenewCertificateRequest) (*consiliumv1.RenewCertificateResponse, error) {
	certificate, err := s.driver.Renew(caller(ctx), req.GetCertificateRequest())
	return &consiliumv1.RenewCertificateResponse{Certificate: certificate}, err
}

func (s *membership) PendingEnrolments(context.Context, *consiliumv1.PendingEnrolmentsRequest) (*consiliumv1.PendingEnrolmentsResponse, error) {
	enrolments, err := s.driver.PendingEnrolments()
	return &consiliumv1.PendingEnrolmentsResponse{Enrolments: enrolments}, err
}

func (s *membership) PublishRoster(_ context.Context, req *consiliumv1.PublishRosterRequest) (*consiliumv1.PublishRosterResponse, error) {
	return &consiliumv1.PublishRosterResponse{}, s.driver.PublishRoster(req.GetRoster())
}
