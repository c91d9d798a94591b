package server

import dncv1 "github.com/dncd/dncd/proto/dnc/v1"

// propagationService implements dncv1.PropagationServiceServer.
type propagationService struct {
	dncv1.UnimplementedPropagationServiceServer
	service
	auth *authenticator
}
